# Models of the hub are downloaded into its cache (HF_HOME) where there is a network; jobs read them there.
localrules:
    model,


rule model:
    input:
        code=code("trim.stages.download"),
    output:
        "results/models/{role}.json",
    log:
        "logs/models/{role}.log",
    benchmark:
        "benchmarks/models/{role}.tsv"
    conda:
        "../envs/trim.yaml"
    threads: 1
    params:
        experiment=PARAMS,
        source=lambda w: (
            EXPERIMENT.encoders() if w.role == "encoders" else settings(w.role)
        ),
    shell:
        "trim download --params {params.experiment} --model {wildcards.role} --out {output} > {log} 2>&1"
