"""Reads DIR/tensorboard with TensorBoard's own readers, and prints what they found as JSON.

Usage: read_events.py DIR   (with a Python that has the package tensorboard)
"""

import json
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.plugins.hparams import plugin_data_pb2


def hparams(path):
    """What the HParams plugin finds in the events, by tag, as the plugin's own messages."""
    found = {}
    for raw in RawEventFileLoader(str(path)).Load():
        for value in event_pb2.Event.FromString(raw).summary.value:
            plugin = value.metadata.plugin_data
            if plugin.plugin_name == "hparams":
                found[value.tag] = plugin_data_pb2.HParamsPluginData.FromString(plugin.content)
    return found


def described(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0, "tensors": 0})
    accumulator.Reload()
    tags = accumulator.Tags()
    scalars = {tag: [[event.wall_time, event.step, event.value] for event in accumulator.Scalars(tag)]
               for tag in tags["scalars"]}
    histograms = {}
    for tag in tags["histograms"]:
        value = accumulator.Histograms(tag)[-1].histogram_value
        histograms[tag] = {"num": value.num, "min": value.min, "max": value.max, "sum": value.sum,
                           "buckets": list(zip(value.bucket_limit, value.bucket))}
    plugin = hparams(next(folder.iterdir()))
    start = plugin["_hparams_/session_start_info"].session_start_info
    return {
        "scalars": scalars, "histograms": histograms,
        "hparams": {key: value.string_value or value.number_value for key, value in start.hparams.items()},
        "group": start.group_name,
        "declared": [info.name for info in plugin["_hparams_/experiment"].experiment.hparam_infos],
        "metrics": [info.name.tag for info in plugin["_hparams_/experiment"].experiment.metric_infos],
        "status": plugin["_hparams_/session_end_info"].session_end_info.status,
    }


print(json.dumps({folder.name: described(folder) for folder in sorted(Path(sys.argv[1]).iterdir())}))
