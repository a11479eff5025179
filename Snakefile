from pathlib import Path

# The experiment of the folder that it is run in, or else the one that is shipped.
SHIPPED = Path(workflow.basedir) / "params.yaml"


configfile: "params.yaml" if Path("params.yaml").is_file() else str(SHIPPED)


include: "workflow/rules/common.smk"


if not REPLAY:

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
        LABELLED,


rule all_models:
    input:
        expand("results/models/{role}.json", role=FROM_HUB),
        ENCODERS,


rule all_rollouts:
    input:
        expand(
            rollouts("train") + rollouts("validation") + rollouts("test"),
            benchmark=BENCHMARKS,
        ),


rule all_scores:
    input:
        expand(
            scores("train") + scores("validation") + scores("test"),
            benchmark=BENCHMARKS,
        ),


rule all_calibration:
    input:
        expand(calibrations(), benchmark=CALIBRATED),


rule all_trees:
    input:
        expand(
            "results/trees/{benchmark}/{split}.parquet",
            benchmark=WHOLE,
            split=WHOLE_SPLITS,
        ),


rule all_routers:
    input:
        ALL_FITS,


rule all_draws:
    input:
        expand("results/draws/{benchmark}/test.parquet", benchmark=BENCHMARKS),


rule all_episodes:
    input:
        EPISODES,


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
