"""What each process of a run has written of its steps (RUN/timeline/*.jsonl), as one picture: RUN/timeline.json.

  parts.py    reads what the processes wrote, on one clock
  letters.py  which message that was sent is which that was received
  events.py   the events of Chrome's trace format, which Perfetto reads
  rows.py     lays intervals that overlap into rows
  draw.py     puts it together
  layers.py   how long a worker's layers took, as a table
"""
