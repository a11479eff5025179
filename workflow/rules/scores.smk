rule scores:
    input:
        problems="results/problems/{benchmark}.parquet",
        weak="results/rollouts/{benchmark}/{split}/weak.{shard}.parquet",
        model=model("prm"),
        code=code("trim.stages.scores"),
    output:
        "results/scores/{benchmark}/{split}.{shard}.parquet",
    log:
        "logs/scores/{benchmark}/{split}.{shard}.log",
    benchmark:
        "benchmarks/scores/{benchmark}/{split}.{shard}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        generation=config["generation"],
        dtype=config["models"]["prm"].get("dtype"),
    shell:
        "trim scores --params {params.experiment} --problems {input.problems} --split {wildcards.split}"
        " --shard {wildcards.shard} --layer {input.weak} --out {output}"
        " --journal results/.journal/{wildcards.benchmark}-{wildcards.split}-prm-{wildcards.shard}.sqlite"
        " > {log} 2>&1"
