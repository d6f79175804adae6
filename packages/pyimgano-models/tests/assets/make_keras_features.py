"""Make ``keras_features.onnx`` and ``keras_features.npz``: a small Keras network, exported by tf2onnx, and its own
answer.

Run once, in an environment of its own, when the graph is to change::

    python -m pip install tensorflow-cpu tf2onnx onnx
    python make_keras_features.py
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf2onnx

FOLDER = Path(__file__).resolve().parent


def build():
    """Return a network as Keras' own applications are: rescaling inside, convolutions, images channels-last."""
    image = tf.keras.Input((None, None, 3), name="image")
    x = tf.keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    x = tf.keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(x)
    x = tf.keras.layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False)(x)
    x = tf.keras.layers.BatchNormalization()(x)
    fine = tf.keras.layers.Conv2D(12, 1, activation="swish", name="fine")(x)
    x = tf.keras.layers.MaxPooling2D()(fine)
    coarse = tf.keras.layers.Conv2D(16, 3, padding="same", activation="relu", name="coarse")(x)
    return tf.keras.Model(image, {"fine": fine, "coarse": coarse})


def main():
    tf.keras.utils.set_random_seed(0)
    model = build()
    for layer in model.layers:  # statistics as a trained network's, so that the normalisation does something
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            rng = np.random.default_rng(0)
            layer.set_weights([gamma + 0.3 * rng.random(8), beta + 0.1, mean + 0.2, variance * (0.5 + rng.random(8))])
    function = tf.function(lambda image: model(image))
    signature = [tf.TensorSpec((1, None, None, 3), tf.float32, name="image")]
    tf2onnx.convert.from_function(
        function, input_signature=signature, opset=17, output_path=str(FOLDER / "keras_features.onnx")
    )
    image = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    answer = model(image[None].astype(np.float32))
    np.savez_compressed(
        FOLDER / "keras_features.npz", image=image, **{name: np.asarray(value) for name, value in answer.items()}
    )


if __name__ == "__main__":
    main()
