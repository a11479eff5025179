TABLES = expand(
    "results/tables/{name}.{format}",
    name=["main", "budgets", "operating_points", "differences", "thresholds"],
    format=["md", "csv", "tex"],
)
FIGURES = expand(
    "results/figures/{name}.{format}",
    name=["curves", "rivals", "variants", "budgets", "scores"],
    format=["svg", "png"],
)
STUDY_FILES = expand(
    ["results/tables/{name}.{table}", "results/figures/{name}.{figure}"],
    name=STUDIES,
    table=["md", "csv", "tex"],
    figure=["svg", "png"],
)
EVALUATED = [
    "results/summary.csv",
    "results/measures.csv",
    "results/differences.csv",
    "results/ratios.csv",
    "results/units.csv",
]


rule tables:
    input:
        EVALUATED,
        fits=LAYOUT.every_fit(),
        columns=[
            f"results/{path}"
            for study in STUDIES.values()
            if study.columns
            for path in study.measured(EXPERIMENT)
        ],
    output:
        report(
            TABLES,
            caption="../report/table.rst",
            category="Tables",
        ),
    log:
        "logs/tables.log",
    benchmark:
        "benchmarks/tables.tsv"
    params:
        code=code("trim.report.tables"),
        reads=LAYOUT.reported,
    shell:
        "trim tables --params results/params.yaml > {log:q} 2>&1"


rule figures:
    input:
        EVALUATED,
        episodes=LAYOUT.episodes(),
    output:
        report(FIGURES, caption="../report/figure.rst", category="Figures"),
    log:
        "logs/figures.log",
    benchmark:
        "benchmarks/figures.tsv"
    params:
        code=code("trim.report.figures"),
        reads=LAYOUT.reported,
    shell:
        "trim figures --params results/params.yaml > {log:q} 2>&1"


rule study:
    input:
        lambda w: study_inputs(w.study),
    output:
        report(
            expand("results/tables/{{study}}.{format}", format=["md", "csv", "tex"]),
            caption="../report/study.rst",
            category="Studies",
        ),
        report(
            expand("results/figures/{{study}}.{format}", format=["svg", "png"]),
            caption="../report/study.rst",
            category="Studies",
        ),
    log:
        "logs/study/{study}.log",
    benchmark:
        "benchmarks/study/{study}.tsv"
    params:
        code=lambda w: code(f"trim.studies.{w.study}"),
        reads=LAYOUT.reported,
    shell:
        "trim study {wildcards.study:q} --params results/params.yaml > {log:q} 2>&1"


rule page:
    input:
        EVALUATED,
        TABLES,
        FIGURES,
        STUDY_FILES,
        problems=expand("results/problems/{benchmark}.parquet", benchmark=BENCHMARKS),
        episodes=LAYOUT.episodes(),
    output:
        report("results/report.html", caption="../report/page.rst", category="Report"),
    log:
        "logs/page.log",
    benchmark:
        "benchmarks/page.tsv"
    params:
        code=code(
            "trim.page.page",
            data=["page/page.html.jinja", "page/page.css", "page/page.js"],
        ),
        reads=LAYOUT.reported,
    shell:
        "trim report --params results/params.yaml > {log:q} 2>&1"


# The last of all: what every result is now. The finished run is locked at once, since a DVC experiment
# that starts from results that are not locked removes them.
rule manifest:
    input:
        "results/metrics.json",
        "results/report.html",
        EVALUATED,
        TABLES,
        FIGURES,
        STUDY_FILES,
        LAYOUT.episodes(),
        LAYOUT.every_fit(),
        CURVES,
        expand("results/problems/{benchmark}.parquet", benchmark=BENCHMARKS),
        expand("results/draws/{benchmark}/test.parquet", benchmark=BENCHMARKS),
    output:
        "results/manifest.json",
    log:
        "logs/manifest.log",
    benchmark:
        "benchmarks/manifest.tsv"
    params:
        code=code("trim.stages.manifest"),
    shell:
        "trim manifest > {log:q} 2>&1; trim lock >> {log:q} 2>&1"
