"""Prometheus metrics of a server, besides those that KServe counts for each phase of a request."""

from prometheus_client import Counter, Gauge, Histogram, Info

REQUESTS = Counter("headstart_requests", "Requests by endpoint and HTTP status.", ("endpoint", "status"))
REQUEST_SECONDS = Histogram("headstart_request_seconds", "Time from a request's head to its answer.", ("endpoint",))
PHASE_SECONDS = Histogram("headstart_phase_seconds", "Time of the phases `decode` and `network`.", ("phase",))
BATCH_IMAGES = Histogram(
    "headstart_batch_images", "Images that the network predicted at once.", buckets=(1, 2, 4, 8, 16, 32)
)
WAITING_IMAGES = Gauge("headstart_waiting_images", "Images that are being decoded or predicted.")
IMAGES = Counter("headstart_images", "Images predicted, by version of the model.", ("version",))
ABSTENTIONS = Counter("headstart_abstentions", "Images without a label, by reason.", ("reason",))
UNFAMILIAR = Counter("headstart_unfamiliar_images", "Images that are unlike the training images.")
UNREADABLE = Counter("headstart_unreadable_images", "Images that could not be read, by reason.", ("reason",))
LOADS = Counter("headstart_model_loads", "Models loaded, by outcome: `loaded` or `failed`.", ("outcome",))
LOAD_FAILED = Gauge("headstart_model_load_failed", "1 if the champion could not be loaded and an older one answers.")
MODEL = Info("headstart_model", "Version of the model that answers.")
