"""Requests with which TensorFlow Serving warms up a model before it answers clients.

Serving reads a TFRecord of `PredictionLog` messages. Its Python package is only needed for their classes, so the few
fields are written here.

Source: https://www.tensorflow.org/tfx/serving/saved_model_warmup; tensorflow_serving/apis/prediction_log.proto,
predict.proto and model.proto.
"""

from pathlib import Path

import tensorflow as tf

WARMUP = "tf_serving_warmup_requests"

_BATCHES = (1, 8)
_GRAY = 127

_LENGTH_DELIMITED = 2
_PREDICT_LOG = 6  # of PredictionLog
_REQUEST = 1  # of PredictLog
_MODEL_SPEC, _INPUTS = 1, 2  # of PredictRequest
_SIGNATURE_NAME = 3  # of ModelSpec
_KEY, _VALUE = 1, 2  # of an entry in a map


def write_warmup(folder: Path, size: int) -> None:
    """Writes requests for each signature, in batches of one and of eight.

    Args:
        folder: Folder `assets.extra` of a SavedModel.
        size: Side in pixels of the gray images in the requests.
    """
    square = (size, size, 3)
    jpeg = tf.io.encode_jpeg(tf.fill(square, tf.constant(_GRAY, tf.uint8))).numpy()
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as file:
        for images in _BATCHES:
            # A tensor message of equal values holds one.
            for signature, name, value in (
                ("serving_default", "image_bytes", tf.make_tensor_proto(jpeg, tf.string, (images,))),
                ("pixels", "pixels", tf.make_tensor_proto(_GRAY, tf.float32, (images, *square))),
                ("pixels_uint8", "pixels", tf.make_tensor_proto(_GRAY, tf.uint8, (images, *square))),
            ):
                file.write(prediction_log(signature, name, value))


def prediction_log(signature: str, name: str, value: "tf.compat.v1.TensorProto") -> bytes:
    """Serialises a `PredictionLog` of one request.

    Args:
        signature: Name of the signature.
        name: Name of the signature's input.
        value: Value of the input.
    """
    tensor = _field(_KEY, name.encode()) + _field(_VALUE, value.SerializeToString())
    request = _field(_MODEL_SPEC, _field(_SIGNATURE_NAME, signature.encode())) + _field(_INPUTS, tensor)
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """Encodes a length-delimited field of a protobuf message: text, bytes or a message."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])
