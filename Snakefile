configfile: "params.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/problems.smk"
include: "workflow/rules/rollouts.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/routers.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/pretrain.smk"


rule all:
    default_target: True
    input:
        "results/metrics.json",
        TABLES,
        FIGURES,
        "results/report.html",
