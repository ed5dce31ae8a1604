"""TensorFlow and Keras imported quietly, with what they read at import set before.

Every module that imports one of them imports this one first.
"""

import gc
import os
import sys
import tempfile

# TensorFlow reads these once, at import. Nothing but real errors on stderr.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
if "keras" not in sys.modules:  # a benchmark that imported it before has chosen its backend
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = os.devnull  # no keras.json of the user's, with other defaults
# Off by default on processors without AVX-512, which draw in two thirds of the time with it.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


def _import_quietly() -> None:
    """Imports TensorFlow without the start-up chatter that its settings cannot silence."""
    sys.stderr.flush()
    screen = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        except BaseException:
            chatter.seek(0)
            os.write(screen, chatter.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)


if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
    # Collecting among the many objects of an import, and again at exit, takes a second in all.
    _collected = gc.isenabled()
    gc.disable()
    try:
        _import_quietly()
        gc.freeze()
    finally:
        if _collected:
            gc.enable()
    # Else it warns of gradients through SavedModels, which nobody takes.
    from absl import logging  # comes with TensorFlow

    logging.set_verbosity(logging.ERROR)
