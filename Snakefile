from pathlib import Path

# The experiment of the folder that it is run in, or else the one that is shipped.
SHIPPED = Path(workflow.basedir) / "params.yaml"


configfile: "params.yaml" if Path("params.yaml").is_file() else str(SHIPPED)


include: "workflow/rules/common.smk"


if not EXPERIMENT.replay:

    include: "workflow/rules/problems.smk"
    include: "workflow/rules/models.smk"
    include: "workflow/rules/rollouts.smk"
    include: "workflow/rules/scores.smk"
    include: "workflow/rules/calibration.smk"
    include: "workflow/rules/routers.smk"


include: "workflow/rules/evaluation.smk"
include: "workflow/rules/studies.smk"
include: "workflow/rules/report.smk"


if EXPERIMENT.pretrain:

    include: "workflow/rules/pretrain.smk"


rule all:
    default_target: True
    input:
        "results/metrics.json",
        TABLES,
        FIGURES,
        STUDY_FILES,
        "results/report.html",
        "results/manifest.json",


# The phases, as DVC's stages call them.


rule all_problems:
    input:
        expand("results/problems/{benchmark}.parquet", benchmark=BENCHMARKS),
        LAYOUT.labelled,


rule all_models:
    input:
        expand("results/models/{role}.json", role=LAYOUT.hub),
        LAYOUT.encoders,


rule all_rollouts:
    input:
        [LAYOUT.rollouts(benchmark, *SPLITS) for benchmark in BENCHMARKS],


rule all_scores:
    input:
        [LAYOUT.scores(benchmark, *SPLITS) for benchmark in BENCHMARKS],


rule all_calibration:
    input:
        [LAYOUT.calibrations(benchmark) for benchmark in EXPERIMENT.calibrated()],


rule all_trees:
    input:
        [LAYOUT.trees(benchmark, *SPLITS) for benchmark in BENCHMARKS],


rule all_routers:
    input:
        LAYOUT.every_fit(),


rule all_draws:
    input:
        expand("results/draws/{benchmark}/test.parquet", benchmark=BENCHMARKS),


rule all_episodes:
    input:
        LAYOUT.episodes(),


rule all_evaluation:
    input:
        "results/metrics.json",


rule all_studies:
    input:
        [study_inputs(name) for name in STUDIES if name != "calibration"],


rule all_report:
    input:
        TABLES,
        FIGURES,
        STUDY_FILES,
        "results/report.html",
        "results/manifest.json",
