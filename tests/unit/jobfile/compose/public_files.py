"""The shapes of Compose files that people publish, reduced to the keys that matter here."""

from __future__ import annotations

SHAPES = {
    "vLLM, as its forum shows it": """\
version: '2.3'
services:
  vllm:
    image: vllm/vllm-openai:latest
    volumes:
      - ${HF_HOME:-~/.cache/huggingface}:/root/.cache/huggingface
    ports: ["8000:8000"]
    environment:
      - HUGGING_FACE_HUB_TOKEN=${HUGGING_FACE_HUB_TOKEN}
    command: --model ${MODEL:-google/gemma-2-9b-it} --tensor-parallel-size ${TP:-4}
    ipc: host
    deploy: &gpus
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: all
              capabilities: [gpu]
    networks: [vllm_network]
networks:
  vllm_network: {driver: bridge}
""",
    "vLLM on one GPU": """\
services:
  vllm:
    image: vllm/vllm-openai:v0.6.6
    container_name: vllm
    restart: unless-stopped
    shm_size: "16gb"
    environment:
      HF_TOKEN: ${HF_TOKEN-}
      NVIDIA_VISIBLE_DEVICES: all
    volumes: ["~/.cache/huggingface:/root/.cache/huggingface", "./models:/models:ro,z"]
    command: >
      --model /models/mistral
      --gpu-memory-utilization 0.98
    deploy:
      resources:
        limits: {memory: 64g, cpus: '8'}
        reservations:
          memory: 32g
          devices: [{driver: nvidia, count: 1, capabilities: [gpu]}]
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8000/health"], interval: 30s}
    logging: {driver: json-file, options: {max-size: 10m}}
""",
    "ollama with a web UI": """\
services:
  ollama:
    image: ollama/ollama:${OLLAMA_DOCKER_TAG-latest}
    volumes: [./ollama:/root/.ollama]
    pull_policy: always
    ports:
      - ${OLLAMA_PORT-11434}:11434
    tty: true
    environment: {KEEP_ALIVE: -1}
    restart: unless-stopped
    deploy:
      resources:
        reservations:
          devices:
            - driver: ${OLLAMA_GPU_DRIVER-nvidia}
              count: ${OLLAMA_GPU_COUNT-all}
              capabilities: [gpu]
  open-webui:
    image: ghcr.io/open-webui/open-webui:${WEBUI_DOCKER_TAG-main}
    volumes: [./open-webui:/app/backend/data]
    depends_on: [ollama]
    ports: ["${OPEN_WEBUI_PORT-3000}:8080"]
    restart: unless-stopped
""",
    "text-generation-inference": """\
version: '3.8'
services:
  tgi-server:
    image: ghcr.io/huggingface/text-generation-inference:2.4.0
    container_name: tgi-server
    command: --model-id $MODEL_ID --num-shard ${NUM_SHARD:-1}
    ports: ["8080:80"]
    volumes:
      - ${HF_CACHE:-~/.cache/huggingface}:/data
    shm_size: 1g
    restart: always #restart on error
    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              capabilities: [gpu]
""",
    "ComfyUI": """\
services:
  app:
    container_name: comfyui
    image: comfyui:0.3.29
    build: {context: ., dockerfile: Dockerfile}
    volumes:
      - type: bind
        source: ./ComfyUI/models
        target: /workspace/ComfyUI/models
        bind: {create_host_path: true}
    runtime: nvidia
    environment:
      - NVIDIA_VISIBLE_DEVICES=all
      - NVIDIA_DRIVER_CAPABILITIES=all
      - COMFYUI_PORT=8188
    deploy:
      resources:
        reservations:
          devices:
            - {driver: nvidia, count: all, capabilities: ["gpu"]}
    ports: ["8188:8188"]
    networks:
      comfyui-network:
        aliases: [comfy]
networks:
  comfyui-network: {}
""",
    "stable diffusion, with profiles": """\
x-base_service: &base_service
    ports: ["7860:7860"]
    volumes:
      - &v1 ./data:/data
      - &v2 ./output:/output
    deploy:
      resources:
        reservations:
          devices:
              - driver: nvidia
                device_ids: ['0']
                capabilities: [compute, utility, gpu]
name: webui-docker
services:
  download:
    build: ./services/download/
    profiles: ["download"]
    volumes: [*v1]
  auto: &automatic
    <<: *base_service
    profiles: ["auto"]
    build: ./services/AUTOMATIC1111
    image: sd-auto:78
    environment: [CLI_ARGS=--allow-code --medvram --api]
  auto-cpu:
    <<: *automatic
    profiles: ["auto-cpu"]
    deploy: {}
    environment: [CLI_ARGS=--no-half --precision full --api]
""",
    "Triton": """\
version: "3.8"
services:
  triton:
    image: nvcr.io/nvidia/tritonserver:23.03-py3
    command: ["tritonserver", "--model-repository=/models", "--log-verbose=1"]
    environment:
      NVIDIA_VISIBLE_DEVICES: 0
    expose: [8000, 8001, 8002]
    volumes: [./models:/models]
    runtime: nvidia
    restart: unless-stopped
    ipc: host
    shm_size: 4g
""",
    "Jupyter, built here": """\
version: '3'
services:
  torch_jupyter:
    shm_size: '16gb'
    build:
      context: ./torch_jupyter
      args: [UID=1000]
    deploy:
      resources:
        reservations:
          devices:
            - capabilities: [gpu]
    container_name: ${CONTAINER_NAME:-jupyter}
    environment: [JUPYTER_ENABLE_LAB=yes, "JUPYTER_TOKEN=${JUPYTER_PASSWORD:?set a password}"]
    user: ${NB_UID:-1000}:${NB_GID:-100}
    volumes: ["jupyter-home:/home/jovyan", "./work:/work:cached"]
volumes:
  jupyter-home:
""",
    "PyTorch training": """\
services:
  train:
    image: nvcr.io/nvidia/pytorch:25.01-py3
    command: torchrun --nproc_per_node=2 train.py --out $$HOME/out
    working_dir: /workspace
    stdin_open: true
    tty: true
    init: true
    shm_size: 10gb
    environment: [http_proxy, PYTHONPATH=/workspace/python]
    env_file:
      - path: ./secret.env
        required: false
    volumes:
      - /data/set:/workspace/data:ro
      - ./python:/workspace/python:cached
    security_opt: [no-new-privileges:true]
    cap_drop: [ALL]
    stop_grace_period: 1m30s
    deploy:
      replicas: 1
      resources:
        reservations:
          devices:
            - {driver: nvidia, count: 2, capabilities: [gpu], options: {profile: 1g.6gb}}
""",
    "label-studio": """\
version: '3.3'
services:
  nginx:
    image: nginx:latest
    ports: ["8080:80"]
    depends_on: [app]
    volumes:
      - static:/label-studio/label_studio:rw
      - ./deploy/nginx/${NGINX_FILE:-default.conf}:/etc/nginx/conf.d/default.conf:ro
    command: nginx -g "daemon off;"
  app:
    stdin_open: true
    tty: true
    build: .
    image: heartexlabs/label-studio:latest
    depends_on: [db]
    environment: ['LABEL_STUDIO_HOST=${LABEL_STUDIO_HOST:-""}', POSTGRE_PASSWORD=]
    volumes: [./mydata:/label-studio/data:rw]
    command: ["./deploy/wait-for-postgres.sh", "bash", "/label-studio/deploy/start.sh"]
  db:
    image: postgres:11.5
    hostname: db
    restart: always
    volumes:
      - ${POSTGRES_DATA_DIR:-./postgres-data}:/var/lib/postgresql/data
volumes:
  static: {}
""",
    "ComfyUI on another vendor's GPU": """\
services:
  comfyui:
    image: rocm/pytorch:latest
    restart: no
    command: ["/conf/startup-comfyui.sh"]
    privileged: true
    network_mode: host
    pid: host
    devices:
      - "/dev/kfd:/dev/kfd"
      - "/dev/dri:/dev/dri"
    extra_hosts: ["host.docker.internal:host-gateway"]
    cap_add: [SYS_PTRACE]
    security_opt: [seccomp=unconfined]
    volumes: [.:/workspace]
""",
    "a pipeline with secrets": """\
x-python: &python
  image: python:3.12
  volumes: [./src:/src:ro]
services:
  prepare:
    <<: *python
    command: [python, /src/prepare.py]
  train:
    <<: *python
    entrypoint: null
    command: [python, /src/train.py]
    gpus: all
    secrets: [hf_token, {source: wandb, target: wandb_key, mode: 0400}]
    depends_on:
      prepare: {condition: service_completed_successfully}
    x-launcher:
      gpus: 1g.6gb
      schedule: {time_limit: 4h}
  board:
    image: tensorflow/tensorflow
    command: tensorboard --logdir /logs
    ports: ["6006:6006"]
    depends_on:
      train: {condition: service_started, required: false}
secrets:
  hf_token: {file: ./hf_token}
  wandb: {file: ./wandb}
""",
}
