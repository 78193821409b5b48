"""From the bytes of any picture to resized pixels, inside TensorFlow's graph: what a served model does with a file.

It does what was done to the training images before they were stored: EXIF orientations are applied, whatever is
transparent lies on white, gray and CMYK become RGB.
"""

import tensorflow as tf

from headstart.components.core.network.images import decode, resize

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH, _PNG_COLOUR_TYPE = (24, 1), (25, 1)
_JPEG = b"\xff\xd8\xff"
_BMP = b"BM"
_BMP_HEADER, _BMP_DEPTH_AND_CODING = (14, 4), (28, 6)
_BMP_COLOURS, _BMP_COLOUR = 256, 4
_EXIF = b"Exif\x00\x00"
_LITTLE_ENDIAN, _BIG_ENDIAN = b"II*\x00", b"MM\x00*"
_APP1, _START_OF_SCAN, _FILL = 0xE1, 0xDA, 0xFF
_ORIENTATION, _SHORT, _LONG = 0x0112, 3, 4
_PADDING = 16
_ENTRY = 12
_MOST_DECODERS = 8


def decode_any(encoded: tf.Tensor, size: int) -> tf.Tensor:
    """Decodes a picture, turns it upright and resizes it as in training.

    JPEG, PNG, GIF and BMP of 8 bits or more, and WebP where the TensorFlow that runs the graph reads it: 2.21 does,
    2.18 does not. Of an animation the first frame is taken. Orientations are read from the EXIF of JPEG alone. The
    transparent colour of a GIF keeps the colour that it has in the file, since TensorFlow does not say which it is.

    Args:
        encoded: A string scalar.
        size: Side of the result in pixels.

    Returns:
        float32 (size, size, 3), RGB 0-255. The op fails on what is no picture.
    """

    def starts_with(magic: bytes) -> tf.Tensor:
        return tf.strings.substr(encoded, 0, len(magic)) == magic

    return tf.case(
        [
            (starts_with(_JPEG), lambda: _upright(decode(encoded, size), _orientation(encoded))),
            (starts_with(_PNG), lambda: resize(_decode_png(encoded), size)),
            (starts_with(_BMP), lambda: resize(_decode_bmp(encoded), size)),
        ],
        default=lambda: resize(_decode_other(encoded), size),
    )


def decode_batch(encoded: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes pictures in parallel; what is no picture does not stop the others.

    Args:
        encoded: Strings (n,).
        size: Side of the result in pixels.

    Returns:
        float32 (n, size, size, 3), RGB 0-255, zeros for what is no picture; and bool (n,), whether it is one.
    """
    images = tf.size(encoded, out_type=tf.int64)
    pictures = tf.data.Dataset.from_tensor_slices(encoded).enumerate()
    pictures = pictures.map(
        lambda position, content: (position, decode_any(content, size)), num_parallel_calls=_MOST_DECODERS
    ).ignore_errors()
    # One more, so that there is a batch where nothing is a picture.
    nothing = tf.data.Dataset.from_tensors((images, tf.zeros((size, size, 3))))
    positions, pixels = pictures.concatenate(nothing).batch(images + 1).get_single_element()
    where = positions[:, None]
    readable = tf.scatter_nd(where, tf.ones_like(positions), (images + 1)[None]) > 0
    shape = tf.concat([(images + 1)[None], tf.constant((size, size, 3), tf.int64)], 0)
    return tf.ensure_shape(tf.scatter_nd(where, pixels, shape)[:-1], (None, size, size, 3)), readable[:-1]


def _decode_png(encoded: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_png(encoded, channels=4)
    opacity = pixels[..., 3:]
    gray = tf.strings.substr(encoded, *_PNG_COLOUR_TYPE) == b"\0"
    deep = tf.strings.substr(encoded, *_PNG_DEPTH) == b"\x10"
    # Gray of fewer than 8 bits gets an opacity of as few from the op; of 16, training leaves out the transparent one.
    opaque = gray & (deep | (opacity > 0))
    return _on_white(tf.concat([pixels[..., :3], tf.where(opaque, tf.constant(255, tf.uint8), opacity)], -1))


def _decode_bmp(encoded: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_bmp(encoded)
    pixels.set_shape((None, None, None))
    colours = tf.cond(
        tf.shape(pixels)[-1] == 1,
        lambda: _of_palette(pixels[..., 0], encoded),
        # A fourth byte is seldom a transparency, and then often 0 everywhere.
        lambda: pixels[..., :3],
    )
    return tf.cast(colours, tf.float32)


def _of_palette(numbers: tf.Tensor, encoded: tf.Tensor) -> tf.Tensor:
    """The colours of a BMP of 8 bits: the op takes their numbers for gray, and run lengths for such numbers."""
    tf.debugging.assert_equal(tf.strings.substr(encoded, *_BMP_DEPTH_AND_CODING), b"\x08\0\0\0\0\0")
    header = tf.io.decode_raw(tf.strings.substr(encoded, *_BMP_HEADER), tf.int32)[0]
    size = _BMP_COLOURS * _BMP_COLOUR
    stored = tf.io.decode_raw(tf.strings.substr(encoded, _BMP_HEADER[0] + header, size), tf.uint8, fixed_length=size)
    blue_green_red = tf.reshape(stored, (_BMP_COLOURS, _BMP_COLOUR))
    return tf.gather(blue_green_red[:, 2::-1], tf.cast(numbers, tf.int32))


def _decode_other(encoded: tf.Tensor) -> tf.Tensor:
    pixels = tf.io.decode_image(encoded, channels=0, expand_animations=False)
    pixels.set_shape((None, None, None))
    return tf.cond(tf.shape(pixels)[-1] == 4, lambda: _on_white(pixels), lambda: tf.cast(pixels[..., :3], tf.float32))


def _on_white(pixels: tf.Tensor) -> tf.Tensor:
    values = tf.cast(pixels, tf.float32)
    opacity = values[..., 3:] / 255
    return tf.ensure_shape(tf.round(values[..., :3] * opacity + 255 * (1 - opacity)), (None, None, 3))


def _orientation(encoded: tf.Tensor) -> tf.Tensor:
    """The EXIF orientation of a JPEG, an int32 from 1 to 8; 1 where there is none, or what there is is damaged.

    Source: CIPA DC-008, "Exchangeable image file format"; TIFF 6.0, "Image File Directory".
    """
    content = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int32)
    length = tf.size(content)
    # What is looked for beyond the end is 0, which is no marker.
    data = tf.concat([content, tf.zeros(_PADDING, tf.int32)], 0)

    def part(at: tf.Tensor, count: int) -> tf.Tensor:
        start = tf.clip_by_value(at, 0, length)
        return tf.ensure_shape(data[start : start + count], (count,))

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        return (part(at, 2)[1] == _APP1) & tf.reduce_all(part(at + 4, len(_EXIF)) == list(_EXIF))

    def goes_on(at: tf.Tensor) -> tf.Tensor:
        marker = part(at, 2)
        return (marker[0] == 0xFF) & (marker[1] != _START_OF_SCAN) & ~is_exif(at)

    def next_segment(at: tf.Tensor) -> tuple[tf.Tensor]:
        step = tf.where(part(at, 2)[1] == _FILL, 1, 2 + tf.reduce_sum(part(at + 2, 2) * [256, 1]))
        return (at + step,)

    (segment,) = tf.while_loop(goes_on, next_segment, (tf.constant(2),))
    tiff = segment + 4 + len(_EXIF)
    header = part(tiff, len(_LITTLE_ENDIAN))
    little_endian = tf.reduce_all(header == list(_LITTLE_ENDIAN))
    short = tf.where(little_endian, [1, 2**8], [2**8, 1])
    long = tf.where(little_endian, [1, 2**8, 2**16, 2**24], [2**24, 2**16, 2**8, 1])
    directory = tiff + tf.reduce_sum(part(tiff + 4, 4) * long)
    entries = tf.clip_by_value(directory + 2, 0, length)
    count = tf.minimum(tf.reduce_sum(part(directory, 2) * short), (length - entries) // _ENTRY)
    fields = tf.reshape(data[entries : entries + count * _ENTRY], (-1, _ENTRY))
    tags, kinds, shorts = (tf.reduce_sum(fields[:, at : at + 2] * short, axis=1) for at in (0, 2, 8))
    counts, longs = (tf.reduce_sum(fields[:, at : at + 4] * long, axis=1) for at in (4, 8))
    values = tf.where(kinds == _LONG, longs, shorts)
    found = values[(tags == _ORIENTATION) & ((kinds == _SHORT) | (kinds == _LONG)) & (counts == 1)]
    orientation = tf.reduce_max(tf.concat([found[:1], [1]], 0))
    is_tiff = little_endian | tf.reduce_all(header == list(_BIG_ENDIAN))
    return tf.where(is_exif(segment) & is_tiff & (orientation <= 8), orientation, 1)


def _upright(pixels: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns a square picture as its EXIF orientation says."""
    turned = tf.where(orientation >= 5, tf.transpose(pixels, (1, 0, 2)), pixels)
    for axis, mirrored in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
        turned = tf.where(tf.reduce_any(orientation == mirrored), tf.reverse(turned, (axis,)), turned)
    return turned
