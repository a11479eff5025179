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
        **run_params("trim.stages.reward_model"),
        settings=lambda w: SECTIONS["reward_models"][w.reward_model],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim prm train {wildcards.reward_model:q} --params results/params.yaml --problems {input.problems:q}"
        " {input.layers:q} --out {params.out:q}"
        " --journal results/.journal/reward_model-{wildcards.reward_model:q}.sqlite > {log:q} 2>&1"


# One probability from a reward model's scores and the weak model's log-probabilities.
rule evidence:
    input:
        problems=f"results/problems/{BENCHMARKS[0]}.parquet",
        layers=LAYOUT.alone(BENCHMARKS[0], "train"),
        logprobs=LAYOUT.logprobs(BENCHMARKS[0], "train"),
        reward_model=lambda w: (
            LAYOUT.reward_model(w.scorer) if w.scorer != "prm" else []
        ),
        models=LAYOUT.models(),
    output:
        "results/evidence/{scorer}.json",
    log:
        "logs/evidence/{scorer}.log",
    benchmark:
        "benchmarks/evidence/{scorer}.tsv"
    resources:
        **LAYOUT.resources(),
    params:
        **run_params("trim.stages.reward_model"),
        distortion=SECTIONS["models"]["prm"]["distortion"],
    shell:
        "trim prm fuse {wildcards.scorer:q} --params results/params.yaml --problems {input.problems:q}"
        " {input.layers:q} {input.logprobs:q} --out {output:q}"
        " --journal results/.journal/evidence-{wildcards.scorer:q}.sqlite > {log:q} 2>&1"
