"""Event files that TensorBoard reads, without TensorBoard.

protobuf   the few wire types that events are made of
records    TFRecord framing: length, checksum, bytes, checksum
events     scalars and histograms as Event messages
hparams    what the HParams plugin wants to be told of a run
"""
