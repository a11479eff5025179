rule rollouts:
    input:
        problems="results/problems/{benchmark}.parquet",
        model=lambda w: LAYOUT.model(w.model),
    output:
        expand(
            "results/rollouts/{{benchmark}}/{split}/{{model}}.{{shard}}.parquet",
            split=SPLITS,
        ),
    log:
        "logs/rollouts/{benchmark}/{model}.{shard}.log",
    benchmark:
        "benchmarks/rollouts/{benchmark}/{model}.{shard}.tsv"
    resources:
        gpu=lambda w: LAYOUT.resources(w.model)["gpu"],
        weak=lambda w: int(w.model == "weak"),
        strong=lambda w: int(w.model == "strong"),
    params:
        code=model_code("trim.stages.rollouts"),
        generation=SECTIONS["generation"],
        settings=lambda w: LAYOUT.identities[w.model],
        shards=EXPERIMENT.shards,
        out=lambda w, output: Path(output[0]).parent.parent,
    shell:
        "trim rollouts --params results/params.yaml --problems {input.problems:q} --model {wildcards.model:q}"
        " --shard {wildcards.shard:q} --out {params.out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-{wildcards.model:q}-{wildcards.shard:q}.sqlite > {log:q} 2>&1"
