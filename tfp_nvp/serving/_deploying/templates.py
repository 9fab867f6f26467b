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
  - job_name: tensorflow_serving
    metrics_path: /monitoring/prometheus/metrics
    static_configs:
      # For a Prometheus on this machine. In a container localhost is the container itself: there it is
      # "cpu:8501" (or "gpu:8501") in the network of compose.yaml, else "host.docker.internal:{port}".
      - targets: ["localhost:{port}"]
"""

COMPOSE = """\
# Pin the images to a release that is not older than the TensorFlow which exported the models (assets.extra/model.json):
# `tfp-nvp serve --image-tag 2.19.0`, say.
services:
  cpu: &serving
    image: tensorflow/serving:{tag}
    command:
{arguments}
    ports:
      - "{grpc}:8500"
      - "{rest}:8501"
    volumes:
      - {{type: bind, source: ., target: {config}, read_only: true}}
{volumes}
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

KUBERNETES_CONFIG = """\
# Made of the files beside it: change those, and run `tfp-nvp serve` again.
apiVersion: v1
kind: ConfigMap
metadata:
  name: flows-config
data:
{files}
"""

KUBERNETES = """\
# The models are on a volume of the claim "models", as NAME/VERSION/. The ConfigMap is in kubernetes-config.yaml.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: flows
  labels: {{app: flows}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app: flows}}
  template:
    metadata:
      labels: {{app: flows}}
      annotations:
        prometheus.io/scrape: "true"
        prometheus.io/port: "8501"
        prometheus.io/path: /monitoring/prometheus/metrics
    spec:
      containers:
        - name: serving
          image: tensorflow/serving:{tag}
          args:
{arguments}
          ports:
            - {{name: grpc, containerPort: 8500}}
            - {{name: rest, containerPort: 8501}}
          startupProbe:
            httpGet: {{path: {status}, port: rest}}
            periodSeconds: 2
            failureThreshold: 60
          readinessProbe:
            httpGet: {{path: {status}, port: rest}}
          livenessProbe:
            tcpSocket: {{port: grpc}}
          resources:
            requests: {{cpu: "1", memory: 1Gi}}
            limits: {{memory: 4Gi}}
            # For a GPU: the image tensorflow/serving:{tag}-gpu, and in limits  nvidia.com/gpu: 1
          volumeMounts:
            - {{name: models, mountPath: {models}, readOnly: true}}
            - {{name: config, mountPath: {config}, readOnly: true}}
      volumes:
        - name: models
          persistentVolumeClaim: {{claimName: models, readOnly: true}}
        - name: config
          configMap: {{name: flows-config}}
---
apiVersion: v1
kind: Service
metadata:
  name: flows
spec:
  selector: {{app: flows}}
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
within a minute or two, and they read models.config once a minute; the other two files they read when they start
(`kubectl rollout restart deployment/flows`).

Is it there?

    curl http://localhost:{rest}/v1/models/{first}

Metrics for Prometheus are at http://localhost:{rest}/monitoring/prometheus/metrics; prometheus.yml reads them.
"""
