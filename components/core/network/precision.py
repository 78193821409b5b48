"""Computing in bfloat16, which some processors do twice as fast as in float32, and others more slowly."""

import keras


def in_bfloat16(front: keras.Model) -> keras.Model:
    """A copy of a network, with the same weights, whose backbone computes in bfloat16.

    What is around the backbone stays in float32: pixels have more levels than bfloat16 tells apart, and pooling adds
    up many numbers.

    Args:
        front: Resized pixels to activations, of `cut`.
    """
    outside = {id(operation) for operation in front.operations}

    def copied(operation: keras.Operation) -> keras.Operation:
        config = operation.get_config()
        if isinstance(operation, keras.Layer) and id(operation) not in outside:
            config["dtype"] = "mixed_bfloat16"
        return type(operation).from_config(config)

    twin = keras.models.clone_model(front, clone_function=copied, recursive=True)
    twin.set_weights(front.get_weights())
    return twin
