# Models of the hub are downloaded into its cache (HF_HOME) where there is a network; jobs read them there.
localrules:
    model,


rule model:
    output:
        "results/models/{role}.json",
    log:
        "logs/models/{role}.log",
    benchmark:
        "benchmarks/models/{role}.tsv"
    params:
        code=code("trim.stages.download"),
        source=lambda w: (
            EXPERIMENT.encoders() if w.role == "encoders" else LAYOUT.source(w.role)
        ),
    shell:
        "trim download --params results/params.yaml --model {wildcards.role:q} --out {output:q} > {log:q} 2>&1"
