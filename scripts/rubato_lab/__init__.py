"""The staleness laboratory: runs a job under many modes, and says what came of it and why.

commands         what may be typed
compare          the command `compare`, from the grid to the report
grid             which runs there are
campaign         makes them, several at once; run_kind says how one is made, run_cache which are there already
run_figures      what metrics.jsonl says of a run
worker_time      where the workers' time went
comparison       runs side by side: seeds, the best of the grid, the target, which is above chance
remarks          what has to be known to read it
comparison_table, verdict_words, why_words, figures, report, runs_csv, tensorboard_export
                 what comes out
charts/          figures as SVG
tensorboard/     event files
explain          the command `explain`: what held one run back

Standard library only.
"""
