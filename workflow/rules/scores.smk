rule scores:
    input:
        problems="results/problems/{benchmark}.parquet",
        weak=expand(
            "results/rollouts/{{benchmark}}/{split}/weak.{{shard}}.parquet",
            split=SPLITS,
        ),
        model=LAYOUT.model("prm"),
    output:
        expand("results/scores/{{benchmark}}/{split}.{{shard}}.parquet", split=SPLITS),
    log:
        "logs/scores/{benchmark}/{shard}.log",
    benchmark:
        "benchmarks/scores/{benchmark}/{shard}.tsv"
    resources:
        **LAYOUT.resources("prm"),
    params:
        code=model_code("trim.stages.scores"),
        generation=SECTIONS["generation"],
        settings=LAYOUT.identities["prm"],
        out=lambda w, output: Path(output[0]).parent,
    shell:
        "trim scores --params results/params.yaml --problems {input.problems:q} --shard {wildcards.shard:q}"
        " {input.weak:q} --out {params.out:q}"
        " --journal results/.journal/{wildcards.benchmark:q}-scores-{wildcards.shard:q}.sqlite > {log:q} 2>&1"
