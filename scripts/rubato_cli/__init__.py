"""The launcher: starts, supervises and stops the processes of one job, and shows how jobs fare.

main         parses arguments, turns a Failure into one line and an exit code
train        the command `train`: run directory, processes, supervision, summary
supervisor   the loop that watches a job from its start to its end
processes    starts, signals and reaps the processes; holds the lifeline
verdict      which exit code a job ends with
news         which lines of the logs are shown, and in which order
progress     the live display, or plain lines
status       the command `status`

Standard library only; no module keeps global state.
"""
