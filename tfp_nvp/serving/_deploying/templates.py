"""The texts of a deployment's files, with placeholders."""

BATCHING = """\
max_batch_size {{ value: {size} }}
batch_timeout_micros {{ value: {timeout} }}
max_enqueued_batches {{ value: 100 }}
"""

MONITORING = """\
prometheus_config {
  enable: true
  path: "/monitoring/prometheus/metrics"
}
"""

PROMETHEUS = """\
global:
  scrape_interval: 15s
scrape_configs:
  - job_name: "{name}"
    metrics_path: /monitoring/prometheus/metrics
    static_configs:
      # For a Prometheus on this machine. In a container localhost is the container itself: there it is
      # "cpu:8501" (or "gpu:8501") in the network of compose.yaml, else "host.docker.internal:{port}".
      - targets: ["localhost:{port}"]
"""

COMPOSE = """\
# The ports are open to this machine only: put a proxy with TLS and authentication in front of them.
name: "{name}"
services:
  cpu: &serving
    image: tensorflow/serving:{tag}
    command:
{arguments}
    ports:
      - "127.0.0.1:{grpc}:8500"
      - "127.0.0.1:{rest}:8501"
    volumes:
      - {{type: bind, source: ., target: {config}, read_only: true}}
{volumes}
    # This user must be able to read the models.
    user: "1000:1000"
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    mem_limit: 4g
    pids_limit: 4096
    healthcheck:  # whether the first model has a version that is loaded; the image has no curl
      test: ["CMD", "bash", "-c", {health}]
      interval: 10s
      timeout: 5s
      start_period: 600s
    restart: unless-stopped
  gpu:
    <<: *serving
    image: tensorflow/serving:{tag}-gpu
    profiles: [gpu]
    deploy:
      resources:
        reservations:
          devices:
            - {{driver: nvidia, count: 1, capabilities: [gpu]}}
"""

# "$" is doubled for compose.
HEALTH = (
    "exec 3<>/dev/tcp/127.0.0.1/8501 && printf '%s\\r\\n\\r\\n' 'GET {path} HTTP/1.0' >&3 && "
    "read -r _ code _ <&3 && [ $$code = 200 ]"
)

KUBERNETES_CONFIG = """\
# Made of the files beside it: change those, and run `tfp-nvp serve` again.
apiVersion: v1
kind: ConfigMap
metadata:
  name: "{name}-config"
data:
{files}
"""

KUBERNETES = """\
# The models are on a volume of the claim "models", as NAME/VERSION/. The ConfigMap is in kubernetes-config.yaml.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: "{name}"
  labels: {{app: "{name}"}}
spec:
  replicas: 2
  strategy:
    rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}
  selector:
    matchLabels: {{app: "{name}"}}
  template:
    metadata:
      labels: {{app: "{name}"}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: /monitoring/prometheus/metrics
    spec:
      automountServiceAccountToken: false
      securityContext:  # this user must be able to read the models
        runAsNonRoot: true
        runAsUser: 1000
        runAsGroup: 1000
        seccompProfile: {{type: RuntimeDefault}}
      containers:
        - name: serving
          image: tensorflow/serving:{tag}
          args:
{arguments}
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          # /v1/models/NAME answers 200 in every state; its metadata, only if a version is loaded.
          # REST answers once all models are loaded and warm, which this allows ten minutes for.
          startupProbe:
            httpGet: {{path: {metadata}, port: rest}}
            periodSeconds: 5
            failureThreshold: 120
          readinessProbe:
            httpGet: {{path: {metadata}, port: rest}}
            periodSeconds: 5
            timeoutSeconds: 5
          livenessProbe:
            tcpSocket: {{port: grpc}}
            periodSeconds: 10
            timeoutSeconds: 5
          lifecycle:  # the server ends at once when told to: let the Service forget it first
            preStop: {{exec: {{command: [sleep, "10"]}}}}
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities: {{drop: [ALL]}}
          resources:
            requests: {{cpu: "1", memory: 1Gi}}
            limits: {{memory: 4Gi}}
            # For a GPU: the image tensorflow/serving:{tag}-gpu, and in limits  nvidia.com/gpu: 1
          volumeMounts:
            - {{name: models, mountPath: {models}, readOnly: true}}
            - {{name: config, mountPath: {config}, readOnly: true}}
            - {{name: tmp, mountPath: /tmp}}
      volumes:
        - name: tmp
          emptyDir: {{}}
        - name: models
          persistentVolumeClaim: {{claimName: models, readOnly: true}}
        - name: config
          configMap: {{name: "{name}-config"}}
---
apiVersion: v1
kind: Service
metadata:
  name: "{name}"
spec:
  selector: {{app: "{name}"}}
  ports:
    - {{name: grpc, port: 8500, targetPort: grpc}}
    - {{name: rest, port: 8501, targetPort: rest}}
"""

README = """\
# Serving {models}

Written by `tfp-nvp serve`; written again, these files follow new labels and keep their options. What you change in them
stays, or is asked about. A new version needs nothing: a server finds it within seconds.

On this machine, where `tensorflow_model_server` is installed:

    {command}

In a container, on CPU or on a GPU (which needs the NVIDIA container toolkit):

    docker compose up cpu
    docker compose --profile gpu up gpu

In Kubernetes, with the models on a volume of the claim `models`:

    kubectl apply -f kubernetes-config.yaml -f kubernetes.yaml

After `tfp-nvp serve` has written new labels, apply both again. Kubernetes brings a changed ConfigMap to the servers
within a minute or two, and they read models.config once a minute; other files they read when they start
(`kubectl rollout restart deployment/{name}`).

Is it there?

    curl http://localhost:{rest}/v1/models/{first}

Metrics for Prometheus are at http://localhost:{rest}/monitoring/prometheus/metrics; prometheus.yml reads them.
"""
