"""What the HParams plugin wants to be told (tensorboard/plugins/hparams/plugin_data.proto, api.proto): which
hyperparameters and metrics there are, a run's own, and how it ended."""

from . import events
from . import protobuf as pb

PLUGIN = "hparams"
STRING, FLOAT64 = 1, 3  # api.proto, DataType
SUCCESS = 1


def _data(number: int, content: bytes) -> bytes:
    return pb.integer(1, 0) + pb.message(number, content)


def experiment(hyperparameters: dict[str, str | float], metrics: list[str], wall_time: float) -> bytes:
    infos = [pb.message(4, pb.text(1, name), pb.integer(4, STRING if isinstance(value, str) else FLOAT64))
             for name, value in hyperparameters.items()]
    infos += [pb.message(5, pb.message(1, pb.text(2, tag))) for tag in metrics]
    content = _data(2, pb.double(3, wall_time) + b"".join(infos))
    return events.plugin_value("_hparams_/experiment", PLUGIN, content)


def session_start(hyperparameters: dict[str, str | float], group: str, wall_time: float) -> bytes:
    entries = []
    for name, value in hyperparameters.items():
        said = pb.text(3, value) if isinstance(value, str) else pb.double(2, value)
        entries.append(pb.message(1, pb.text(1, name), pb.message(2, said)))
    content = _data(3, b"".join(entries) + pb.text(4, group) + pb.double(5, wall_time))
    return events.plugin_value("_hparams_/session_start_info", PLUGIN, content)


def session_end(wall_time: float) -> bytes:
    content = _data(4, pb.integer(1, SUCCESS) + pb.double(2, wall_time))
    return events.plugin_value("_hparams_/session_end_info", PLUGIN, content)
