"""The files beside a model: each parses as what it is for, and holds what was asked for."""

import json
import shlex
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from tfp_nvp.serving import models_in, remove_label, set_label, write_deployment

yaml = pytest.importorskip("yaml")

FILES = {
    "models.config",
    "local/models.config",
    "monitoring.config",
    "prometheus.yml",
    "compose.yaml",
    "kubernetes.yaml",
    "kubernetes-config.yaml",
    "README.md",
    ".generated.json",
}
ODD = "two 'moons' $HOME \"é\", {a: b} #1"  # a name for each of YAML, protobuf, shells, compose and URLs to fall over


def make_model(folder, *versions):
    for version in versions:
        (folder / str(version)).mkdir(parents=True)
        (folder / str(version) / "saved_model.pb").touch()
    return folder


def parsed_config(file):
    pb2 = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    from google.protobuf import text_format

    return text_format.Parse(file.read_text(), pb2.ModelServerConfig()).model_config_list.config


def server_of(out):
    """The container of kubernetes.yaml, and the ConfigMap beside it."""
    config = yaml.safe_load((out / "kubernetes-config.yaml").read_text())
    deployment, service = yaml.safe_load_all((out / "kubernetes.yaml").read_text())
    assert [each["kind"] for each in (config, deployment, service)] == ["ConfigMap", "Deployment", "Service"]
    (volume,) = (each for each in deployment["spec"]["template"]["spec"]["volumes"] if each["name"] == "config")
    assert volume["configMap"]["name"] == config["metadata"]["name"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container, config


def test_one_model(tmp_path):
    folder, out = make_model(tmp_path / "moons", 1, 3), tmp_path / "serving"
    made = write_deployment(folder, out)
    assert made.folder == out
    assert made.models == {"moons": folder}
    assert {str(file.relative_to(out)) for file in out.rglob("*") if file.is_file()} == FILES
    for file, base in (("models.config", "/models/moons"), ("local/models.config", str(folder))):
        (config,) = parsed_config(out / file)
        assert (config.name, config.base_path, config.model_platform) == ("moons", base, "tensorflow")
        assert not config.HasField("model_version_policy")  # the newest
        assert not config.version_labels


def test_a_folder_of_models(tmp_path):
    root = tmp_path / "models"
    for name in ("rings", "moons"):
        make_model(root / name, 1)
    (root / "notes").mkdir()
    (root / "file").touch()
    made = write_deployment(root, root / "serving")  # within it, which is no model
    assert list(made.models) == ["moons", "rings"]
    assert [config.name for config in parsed_config(root / "serving" / "models.config")] == ["moons", "rings"]
    compose = yaml.safe_load((root / "serving" / "compose.yaml").read_text())
    assert {volume["target"] for volume in compose["services"]["cpu"]["volumes"]} == {
        "/config", "/models/moons", "/models/rings",
    }  # fmt: skip
    assert list(models_in(root)) == ["moons", "rings"]  # again, with the configuration beside them


@pytest.mark.parametrize("path", ["nowhere", "empty", "file"])
def test_no_model(path, tmp_path):
    (tmp_path / "empty" / "notes").mkdir(parents=True)
    (tmp_path / "file").touch()
    with pytest.raises(FileNotFoundError, match=r"No model in .*: it must hold versions"):
        write_deployment(tmp_path / path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_of_a_model_with_labels_all_versions_are_loaded(tmp_path):
    """A server moves a label only to a version that it has loaded."""
    folder, out = make_model(tmp_path / "moons", 1, 2, 3, 7), tmp_path / "serving"
    for label, version in {"stable": 1, "canary": 3, "old": 1}.items():
        set_label(folder, label, version)
    write_deployment(folder, out)
    (config,) = parsed_config(out / "models.config")
    assert config.model_version_policy.WhichOneof("policy_choice") == "all"
    assert dict(config.version_labels) == {"canary": 3, "old": 1, "stable": 1}
    assert server_of(out)[1]["data"]["models.config"] == (out / "models.config").read_text()


def test_a_label_of_a_version_that_is_gone(tmp_path):
    folder = make_model(tmp_path / "moons", 1, 2)
    set_label(folder, "stable", 1)
    (folder / "1" / "saved_model.pb").unlink()
    (folder / "1").rmdir()
    with pytest.raises(
        ValueError, match=r"has labels of versions that are gone, \{'stable': 1\}: .*`serving\.remove_label`"
    ):
        write_deployment(folder, tmp_path / "serving")
    assert not (tmp_path / "serving").exists()
    remove_label(folder, "stable")
    write_deployment(folder, tmp_path / "serving")
    (config,) = parsed_config(tmp_path / "serving" / "models.config")
    assert not config.version_labels
    assert not config.HasField("model_version_policy")  # the newest again


def test_ports_flags_and_mounts(tmp_path):
    folder, out = make_model(tmp_path / "moons", 1), tmp_path / "serving"
    made = write_deployment(
        folder, out, grpc_port=9000, rest_port=9001, batching=True, max_batch_size=64, image_tag="2.19.0"
    )
    assert Path(made.command[0]).name == "tensorflow_model_server"
    assert {"--port=9000", "--rest_api_port=9001", "--enable_batching=true"} < set(made.command)
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in made.command[1:])
    for flag, file in {
        "model_config_file": "local/models.config",
        "batching_parameters_file": "batching_parameters.txt",
        "monitoring_config_file": "monitoring.config",
    }.items():
        assert flags[flag] == str(out / file)
    services = yaml.safe_load((out / "compose.yaml").read_text())["services"]
    for name, image in (("cpu", "tensorflow/serving:2.19.0"), ("gpu", "tensorflow/serving:2.19.0-gpu")):
        assert services[name]["image"] == image
        assert services[name]["ports"] == ["127.0.0.1:9000:8500", "127.0.0.1:9001:8501"]
        assert services[name]["volumes"] == [
            {"type": "bind", "source": ".", "target": "/config", "read_only": True},
            {"type": "bind", "source": str(folder), "target": "/models/moons", "read_only": True},
        ]
        given = dict(flag.removeprefix("--").split("=", 1) for flag in services[name]["command"])
        assert given["model_config_file"] == "/config/models.config"
        assert set(given) == set(flags) - {"port", "rest_api_port"}
    assert services["gpu"]["profiles"] == ["gpu"]
    assert "deploy" not in services["cpu"]
    (scrape,) = yaml.safe_load((out / "prometheus.yml").read_text())["scrape_configs"]
    assert scrape["static_configs"] == [{"targets": ["localhost:9001"]}]
    assert scrape["metrics_path"] in (out / "monitoring.config").read_text()
    assert "http://localhost:9001/v1/models/" in (out / "README.md").read_text()


def test_comments_say_what_to_change(tmp_path):
    write_deployment(make_model(tmp_path / "moons", 1), tmp_path / "out", rest_port=9001)
    assert "put a proxy with TLS and authentication" in (tmp_path / "out" / "compose.yaml").read_text()
    text = (tmp_path / "out" / "prometheus.yml").read_text()
    assert '"cpu:8501"' in text
    assert '"host.docker.internal:9001"' in text


def test_kubernetes(tmp_path):
    folder, out = make_model(tmp_path / "moons", 1), tmp_path / "serving"
    write_deployment(folder, out, image_tag="2.19.0")
    container, config = server_of(out)
    assert container["image"] == "tensorflow/serving:2.19.0"
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts == {"models": "/models", "config": "/config", "tmp": "/tmp"}
    files = {flag.split("=")[1] for flag in container["args"] if flag.split("=")[1].startswith("/config/")}
    assert files == {f"/config/{name}" for name in config["data"]}  # each file that a flag names is in the ConfigMap
    for probe in ("startupProbe", "readinessProbe"):  # the status answers 200 in every state
        assert container[probe]["httpGet"] == {"path": "/v1/models/moons/metadata", "port": "rest"}
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 300  # seconds: several models of a slow warm-up
    for name, text in config["data"].items():
        assert text == (out / name).read_text()


def test_containers_have_few_rights_and_limits(tmp_path):
    write_deployment(make_model(tmp_path / "moons", 1), tmp_path / "out")
    container, _ = server_of(tmp_path / "out")
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]
    deployment, _ = yaml.safe_load_all((tmp_path / "out" / "kubernetes.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["automountServiceAccountToken"] is False
    assert {"name": "tmp", "emptyDir": {}} in pod["volumes"]  # the rest can't be written to
    for service in yaml.safe_load((tmp_path / "out" / "compose.yaml").read_text())["services"].values():
        assert service["cap_drop"] == ["ALL"]
        assert service["user"] == "1000:1000"
        assert service["read_only"]
        assert service["mem_limit"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert "healthcheck" in service
        assert not service["image"].endswith(("latest", "latest-gpu"))


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("My Models", "my-models"),
        ("_m_", "m"),
        ("null", "null"),  # which YAML takes for another type
        ("on", "on"),
        ("7 moons", "flows"),
        ("größe", "gr-e"),
        ("日本", "flows"),
        ("x" * 60, "x" * 50),
    ],
)
def test_names_of_two_deployments_differ(folder, name, tmp_path):
    root, out = make_model(tmp_path / folder / "moons", 1).parent, tmp_path / "out"

    def names():
        deployment, service = yaml.safe_load_all((out / "kubernetes.yaml").read_text())
        config = yaml.safe_load((out / "kubernetes-config.yaml").read_text())["metadata"]["name"]
        assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
        assert deployment["spec"]["template"]["metadata"]["labels"] == service["spec"]["selector"]
        assert config in [each["configMap"]["name"] for each in deployment["spec"]["template"]["spec"]["volumes"][2:]]
        compose = yaml.safe_load((out / "compose.yaml").read_text())["name"]
        return {compose, deployment["metadata"]["name"], service["metadata"]["name"], config.removesuffix("-config")}

    write_deployment(root, out)
    assert names() == {name}
    write_deployment(root, out, name="people-2")
    write_deployment(root, out)
    assert names() == {"people-2"}


def test_no_command_leaves_the_server_defaults_that_failed(tmp_path):
    """Too few threads refuse callers; one load thread waits five minutes for a broken version."""
    made = write_deployment(make_model(tmp_path / "moons", 1), tmp_path / "out")
    container, _ = server_of(tmp_path / "out")
    compose = yaml.safe_load((tmp_path / "out" / "compose.yaml").read_text())["services"]
    readme = (tmp_path / "out" / "README.md").read_text().split("is installed:\n")[1].split("\nIn a container")[0]
    commands = [made.command, container["args"], *(service["command"] for service in compose.values())]
    for command in [*commands, shlex.split(readme.replace("\\\n", " "))]:
        flags = dict(flag.removeprefix("--").split("=", 1) for flag in command if flag.startswith("--"))
        assert int(flags["grpc_max_threads"]) >= 256
        assert int(flags["num_load_threads"]) >= 2
        assert int(flags["max_num_load_retries"]) * int(flags["load_retry_interval_micros"]) <= 10e6
        assert not {"enable_batching", "batching_parameters_file"} & flags.keys()


def test_batching_is_asked_for(tmp_path):
    folder, out = make_model(tmp_path / "moons", 1), tmp_path / "out"
    for limit in ({"max_batch_size": 64}, {"batch_timeout_micros": 7}):
        for batching in ({}, {"batching": False}):
            with pytest.raises(ValueError, match=f"`{next(iter(limit))}` needs `batching=True` .--batching.:"):
                write_deployment(folder, out, **limit, **batching)
        assert not out.exists()
    assert write_deployment(folder, out, batching=True).notices == []
    assert (out / "batching_parameters.txt").exists()
    assert "--enable_batching=true" in write_deployment(folder, out, max_batch_size=64).command  # as before
    assert "batching_parameters.txt" in server_of(out)[1]["data"]
    made = write_deployment(folder, out, batching=False)
    assert ["Batching is off now" in notice for notice in made.notices] == [True]
    assert not [flag for flag in made.command if flag.startswith(("--enable_batching", "--batching"))]
    assert not (out / "batching_parameters.txt").exists()
    assert set(server_of(out)[1]["data"]) == {"models.config", "monitoring.config"}
    assert write_deployment(folder, out).notices == []


@pytest.mark.parametrize("changed", [False, True])
def test_a_folder_of_an_earlier_release_batches_no_more(changed, tmp_path):
    folder, out = make_model(tmp_path / "moons", 1), tmp_path / "out"
    write_deployment(folder, out, batching=True)
    record = json.loads((out / ".generated.json").read_text())
    del record["options"]["batching"], record["options"]["name"]  # which it did not have
    (out / ".generated.json").write_text(json.dumps(record))
    if changed:
        (out / "batching_parameters.txt").write_text("mine")
    made = write_deployment(folder, out)
    assert ["--batching turns it on" in notice for notice in made.notices] == [True]
    assert made.kept == ["batching_parameters.txt"] * changed
    assert (out / "batching_parameters.txt").exists() == changed
    assert "batching" not in (out / "kubernetes.yaml").read_text() + (out / "compose.yaml").read_text()


def test_batching_and_monitoring(tmp_path):
    """As text; the stubs have no class of either."""
    options = {"batching": True, "max_batch_size": 64, "batch_timeout_micros": 7}
    write_deployment(make_model(tmp_path / "moons", 1), tmp_path / "out", **options)
    monitoring = " ".join((tmp_path / "out" / "monitoring.config").read_text().split())
    assert monitoring == 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }'
    assert (tmp_path / "out" / "batching_parameters.txt").read_text().splitlines() == [
        "max_batch_size { value: 64 }",
        "batch_timeout_micros { value: 7 }",
        "max_enqueued_batches { value: 100 }",
    ]


def test_names_and_paths_with_odd_characters(tmp_path):
    folder, out = make_model(tmp_path / "my $models" / ODD, 1), tmp_path / "serving of 'it' $all"
    set_label(folder, "stable", 1)
    made = write_deployment(folder, out)
    (config,) = parsed_config(out / "local" / "models.config")
    assert (config.name, config.base_path) == (ODD, str(folder))
    (config,) = parsed_config(out / "models.config")
    assert (config.name, config.base_path) == (ODD, f"/models/{ODD}")
    volume = yaml.safe_load((out / "compose.yaml").read_text())["services"]["cpu"]["volumes"][1]
    assert "$" not in volume["source"].replace("$$", "")  # compose puts variables in for single ones
    assert (volume["source"].replace("$$", "$"), volume["target"].replace("$$", "$")) == (str(folder), f"/models/{ODD}")
    container, config_map = server_of(out)
    assert config_map["data"]["models.config"] == (out / "models.config").read_text()
    for probe in ("startupProbe", "readinessProbe"):
        path = container[probe]["httpGet"]["path"]
        assert path.startswith("/v1/models/two%20")
        assert not set(path) & set(" #?\"'{}")
    (line,) = (line for line in (out / "README.md").read_text().splitlines() if line.startswith("    curl"))
    assert unquote(shlex.split(line)[1]) == f"http://localhost:8501/v1/models/{ODD}"
    assert not set(line.removeprefix("    curl ")) & set(" #?\"'{}$")
    block = (out / "README.md").read_text().split("is installed:\n")[1].split("\nIn a container")[0]
    assert shlex.split(block.replace("\\\n", " ")) == made.command  # a shell reads what the server should get


@pytest.mark.parametrize("character", ["\n", "\t", "\x7f", "\x85", "\u2028", "\ufeff", "\u202e"])
def test_a_name_that_a_reader_of_yaml_changes_is_refused(character, tmp_path):
    with pytest.raises(ValueError, match=r"must be of printable characters; got .* Rename the folder"):
        write_deployment(make_model(tmp_path / f"two{character}moons", 1), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"grpc_port": 0}, ValueError, r"`grpc_port` must be in \[1, 65535\]; got 0"),
        ({"rest_port": 65536}, ValueError, r"`rest_port` must be in \[1, 65535\]; got 65536"),
        ({"grpc_port": 8501}, ValueError, "`grpc_port` and `rest_port` must differ; both are 8501"),
        ({"rest_port": "8501"}, TypeError, "`rest_port` must be an integer"),
        ({"max_batch_size": 0}, ValueError, r"`max_batch_size` must be in \[1, 2147483647\]; got 0"),
        ({"max_batch_size": 10**30}, ValueError, r"`max_batch_size` must be in \[1, 2147483647\]; got"),
        ({"batch_timeout_micros": 2**31}, ValueError, r"`batch_timeout_micros` must be in \[0, 2147483647\]; got"),
        ({"batch_timeout_micros": -1}, ValueError, r"`batch_timeout_micros` must be in \[0, 2147483647\]; got -1"),
        ({"batch_timeout_micros": 0.5}, TypeError, "`batch_timeout_micros` must be an integer"),
        ({"image_tag": ""}, ValueError, "`image_tag` must be a tag such as"),
        ({"image_tag": "latest\n  privileged: true"}, ValueError, "`image_tag` must be a tag such as"),
        ({"image_tag": "2.20.0\n"}, ValueError, "`image_tag` must be a tag such as"),
        ({"image_tag": "½"}, ValueError, "`image_tag` must be a tag such as"),
        ({"image_tag": "-gpu"}, ValueError, "`image_tag` must be a tag such as"),
        ({"image_tag": "2" * 129}, ValueError, "`image_tag` must be a tag such as"),
        ({"name": "People"}, ValueError, "`name` must be at most 50 of a to z"),
        ({"name": "people-"}, ValueError, "`name` must be at most 50 of a to z"),
        ({"name": "a" * 51}, ValueError, "`name` must be at most 50 of a to z"),
        ({"name": ""}, ValueError, "`name` must be at most 50 of a to z"),
        ({"batching": "yes"}, TypeError, "`batching` must be True or False; got 'yes'"),
    ],
)
def test_bad_arguments(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        write_deployment(make_model(tmp_path / "moons", 1), tmp_path / "out", **{"batching": True, **arguments})
    assert not (tmp_path / "out").exists()


class TestWrittenAgain:
    @pytest.fixture
    def folder(self, tmp_path):
        return make_model(tmp_path / "moons", 1, 2)

    @pytest.fixture
    def out(self, folder, tmp_path):
        write_deployment(folder, tmp_path / "out", rest_port=9001, batching=True)
        return tmp_path / "out"

    def test_files_are_replaced_and_others_stay(self, folder, out):
        (out / "mine.txt").write_text("mine")
        set_label(folder, "stable", 1)
        assert write_deployment(folder, out, rest_port=9002).kept == []
        assert dict(parsed_config(out / "models.config")[0].version_labels) == {"stable": 1}
        assert dict(parsed_config(out / "local/models.config")[0].version_labels) == {"stable": 1}
        assert "9001" not in "".join(text_of(out).values())
        assert (out / "mine.txt").read_text() == "mine"
        assert set(text_of(out)) == FILES | {"mine.txt", "batching_parameters.txt"}

    def test_options_stay_until_others_are_given(self, folder, out):
        before = text_of(out)
        made = write_deployment(folder, out)
        assert text_of(out) == before
        assert {"--port=8500", "--rest_api_port=9001"} < set(made.command)
        made = write_deployment(
            folder, out, grpc_port=9000, max_batch_size=7, batch_timeout_micros=0, image_tag="2.19.0"
        )
        assert {"--port=9000", "--rest_api_port=9001"} < set(made.command)
        write_deployment(folder, out, rest_port=8501)
        assert set(write_deployment(folder, out).command) > {"--port=9000", "--rest_api_port=8501"}
        assert "{ value: 7 }" in (out / "batching_parameters.txt").read_text()
        assert "serving:2.19.0" in (out / "compose.yaml").read_text()
        with pytest.raises(ValueError, match="`grpc_port` and `rest_port` must differ; both are 9000"):
            write_deployment(folder, out, rest_port=9000)

    def test_a_changed_file_stays_where_there_is_nothing_new(self, folder, out):
        (out / "batching_parameters.txt").write_text("num_batch_threads { value: 3 }")
        set_label(folder, "stable", 1)
        for _ in range(2):
            assert write_deployment(folder, out).kept == ["batching_parameters.txt"]
            assert (out / "batching_parameters.txt").read_text() == "num_batch_threads { value: 3 }"
            assert dict(parsed_config(out / "models.config")[0].version_labels) == {"stable": 1}
        assert write_deployment(folder, out, overwrite=True).kept == []
        assert "max_batch_size" in (out / "batching_parameters.txt").read_text()

    def test_a_changed_file_that_would_change_is_named_and_nothing_is_written(self, folder, out):
        for name in ("compose.yaml", "local/models.config", "prometheus.yml"):
            (out / name).write_text((out / name).read_text() + "# mine\n")
        before = text_of(out)
        set_label(folder, "stable", 1)
        for options, names in (
            ({}, "^local/models.config"),
            ({"image_tag": "2"}, "^local/models.config, compose.yaml"),
        ):
            with pytest.raises(FileExistsError, match=names + " in .*: changed since generated.*overwrite=True"):
                write_deployment(folder, out, **options)
        assert text_of(out) == before
        assert write_deployment(folder, out, overwrite=True).kept == []
        assert "# mine" not in "".join(text_of(out).values())

    def test_labels_reach_a_kubernetes_that_was_edited(self, folder, out):
        edited = (out / "kubernetes.yaml").read_text().replace("replicas: 2", "replicas: 5")
        (out / "kubernetes.yaml").write_text(edited)
        set_label(folder, "stable", 1)
        assert write_deployment(folder, out).kept == ["kubernetes.yaml"]
        assert (out / "kubernetes.yaml").read_text() == edited
        assert server_of(out)[1]["data"]["models.config"] == (out / "models.config").read_text()
        assert 'key: "stable"' in (out / "models.config").read_text()

    @pytest.mark.parametrize(
        "text", ["num_batch_threads { value: 3 }\n", " a\n\tb # é\n", "a", "a\n\n", "", "\n", "\x07\n", "a: {b}\n---\n"]
    )
    def test_what_was_edited_reaches_the_config_map(self, text, folder, out):
        (out / "batching_parameters.txt").write_text(text)
        assert write_deployment(folder, out).kept == ["batching_parameters.txt"]
        assert server_of(out)[1]["data"]["batching_parameters.txt"] == text
        assert write_deployment(folder, out, overwrite=True).kept == []
        assert "max_batch_size" in server_of(out)[1]["data"]["batching_parameters.txt"]

    def test_some_files_are_replaced(self, folder, out):
        for name in ("kubernetes.yaml", "compose.yaml", "kubernetes-config.yaml"):
            (out / name).write_text("# mine\n")
        assert write_deployment(folder, out, overwrite=["compose.yaml"]).kept == [
            "kubernetes.yaml", "kubernetes-config.yaml",
        ]  # fmt: skip
        assert (out / "compose.yaml").read_text() != "# mine\n"
        with pytest.raises(FileExistsError, match=r"^kubernetes\.yaml in .*overwrite-file NAME"):
            write_deployment(folder, out, image_tag="2", overwrite=["kubernetes-config.yaml"])
        assert (out / "kubernetes-config.yaml").read_text() == "# mine\n"
        with pytest.raises(ValueError, match=r"`overwrite` must name files of \[.*\]; got \['kubernetes'\]"):
            write_deployment(folder, out, overwrite=["kubernetes", "compose.yaml"])
        for bad in ("compose.yaml", None, 1):
            with pytest.raises(TypeError, match="`overwrite` must be True, False or a list of names; got"):
                write_deployment(folder, out, overwrite=bad)

    @pytest.mark.parametrize("record", [None, "{", "[]", '{"sha256": 3}', '{"options": {"rest_port": 8501}}', "\xff"])
    def test_files_of_unknown_origin_stay(self, record, folder, out):
        """Of an earlier release, say: options and what was generated are not known."""
        before = (out / "README.md").read_text()
        (out / ".generated.json").unlink()
        if record is not None:
            (out / ".generated.json").write_bytes(record.encode("latin-1"))
        with pytest.raises(FileExistsError, match=r"README\.md.* in .*: changed since generated"):
            write_deployment(folder, out)
        assert (out / "README.md").read_text() == before
        write_deployment(folder, out, rest_port=9001, batching=True)  # just what is there
        assert (out / "README.md").read_text() == before
        write_deployment(folder, out, rest_port=9002)  # known from then on

    @pytest.mark.parametrize("bad", ['"x"', "0", "8500", "null", "[1]", "1e400"])
    def test_damaged_options_are_none(self, bad, folder, out):
        text = (out / ".generated.json").read_text()
        (out / ".generated.json").write_text(text.replace("9001", bad))
        assert {"--port=8500", "--rest_api_port=8501"} < set(write_deployment(folder, out).command)
        assert "localhost:8501" in (out / "README.md").read_text()


def text_of(out):
    return {str(file.relative_to(out)): file.read_text() for file in out.rglob("*") if file.is_file()}


def test_numpy_integers_are_integers(tmp_path):
    made = write_deployment(make_model(tmp_path / "moons", 1), tmp_path / "out", grpc_port=np.int64(9000))
    assert "--port=9000" in made.command
