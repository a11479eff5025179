# Reward models that are trained on the experiment's own solutions.
rule reward_model:
    input:
        problems=lambda w: f"results/problems/{EXPERIMENT.trains_on(w.reward_model)}.parquet",
        layers=lambda w: LAYOUT.layers(EXPERIMENT.trains_on(w.reward_model), "train"),
        models=LAYOUT.models(),
    output:
        expand(
            "results/reward_models/{{reward_model}}/{file}",
            file=[*MODEL_FILES, "training.json"],
        ),
    log:
        "logs/reward_model/{reward_model}.log",
    benchmark:
        "benchmarks/reward_model/{reward_model}.tsv"
    threads: 2
    resources:
        **LAYOUT.resources(),
    params:
        experiment=PARAMS,
        code=model_code("trim.stages.reward_model"),
        identities=LAYOUT.identities,
        settings=lambda w: SECTIONS["reward_models"][w.reward_model],
        generation=SECTIONS["generation"],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim prm train {wildcards.reward_model:q} --params {params.experiment:q} --problems {input.problems:q}"
        " {input.layers:q} --out {params.out:q}"
        " --journal results/.journal/reward_model-{wildcards.reward_model:q}.sqlite > {log:q} 2>&1"
