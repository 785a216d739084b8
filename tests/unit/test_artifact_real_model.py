"""Files that TensorFlow 2.20 itself wrote are read as TensorFlow means them (zlib and base64 of them below)."""

import base64
import struct
import zlib

from modeldrop.artifact.variables import Index, Tensor, read_index
from tests.unit.artifact_builders import tar_gz
from tests.unit.test_artifact_inspect import inspect

# y = x @ w, saved by tf.compat.v1.saved_model.simple_save
SAVED_MODEL = (
    "eNrNWFuPG1kR9vGl3S577JnjyYxzkmyi1orNGmVsvIuIzKJkJ6toF21CyCxZkNC02u4zM620u013ey5BIJ4QiAf2gQceWCHxxA9AAp4Wif0XPP"
    "POP4A6p7vtbt8nIdKONGr35VR9VfVVnaqjEvqvd+HfG/SvG/ABFN43zWcdqgA518gn4nqBV4bXF3jVbgA+zAcXQ96lsNmpVuskm9/a2VUKuZJK"
    "f0HIZ4TAOSjv+7517NAy5Dx+hAvxDQUonBr2iAt5eOOOguEo0MfvtdJYtsagip9aphFw3T8xhpzme65rs+xtou1CeeRz3Xb7zy3nePLi96j5Lh"
    "QeuI4fsBoooXytYEqJtUg5VQLu+K6nbUD4JtQIe6B+ZHInsIILAdRyxFoEWh4LQusnCOFzAsojI3g0soWPjMhXPbGkAsWh55qjvlyDcAPPcPyh"
    "i6CNMdxM+kUv8eLaxMebUO1UhI9zJeFllWoUlGPPMFOS4mcJIfBLAvQR9475s86DE95/PnQtJ/DpLtT741t9iM63zrnfKNIdoCb3A8sxAst1oj"
    "eNIoKpmdzmGAfXNnXT8vxEKG5C3bBt90wfWBhv51g/smw++SDzKwzJPchFTlqfUMpWIbezi4QSbFIg/9j93hAeQf6J0X9Oq6DISPq4vEkepyNU"
    "AfKY5tC226SdYlQN8sa55ct3LNvIwAMoP7GNPj9Bu7g3S5g0P7RtKIREDC8s3802CPwQdhJCPrWCkw/4kTGyA0QZcSiUslJ+NS0ffg4bTw3HdA"
    "c/cKwj1xsIUso3wnlz2J33OTfH1mmb+DU+6Eye7Kb0dVVQOvl6lWS1rUkE0NUdpJoImwulp8gH10MCoW4lJgTdhEqYQbpjDCR1tmFTItMRr+7b"
    "Vl88ZVtQDL/zO4pU7GsNiH5RsC0/uC1+vy0CJRTaoBwYpy+pjV5W2z3UhrTuB3QDSn3XMS1B+wYIfgYRT/my/P8Qagcnhmdy8yFyXoCjFVB7hi"
    "9/I6KSjJdnNnLIBXBGA13e+o0cFgj1KFrUKMJ92D4IMOv6T/kxP384sm2sK/0TIUAyCH0JMYgGYLiKQyMIuOdQxQ88zDr4GOBA/vouZjUapMh1"
    "6BaRHpO1RQ0m2YF8KPl8aHgGxjiWxLI0A+9B7mDUu3zCYrru7IIP8MzwLKNnYyiRqLL+h8wTNX6K5tNZsCuDERiWw1OgtKtQFu7jpuRB8hVGU0"
    "Oue6e8qXT2Ou29doedhj/ueP32nXfvHH+rc9TrGe+YnfYR/d2bYKJlNJn8zbegqkfbkYTl0ytQ727Rsvrf+I/QrJptlmO42TZpXo9tmfcp/JqA"
    "dtb6yEFi4U72gnstT+azPgoTuhX5Qe5XzW1Q9L5t+EhWUKmCm1v3/lmTzeDCtO3mp6Hkmjfi3W17n6o5Kr/Q1GwmkxH/8FO4tRTKAGmzFMjODJ"
    "A8ZLuZtD+uxCAq+6ASmmnmf/LlH75Yrdw4f13K78GXBJpLtaeLbLrmsjUC2CyKfBAxmA/+jRnwFYCuKgI0y6hyXLWxYDchqulis/oTWeFEHzNW"
    "pC1b6Wu2kgqxSeRy8YC/rAI5wD5ANAPsEiFhK+1eBXdFBODPBK4v00HDlpittO3VPbsK6m8IkDOaKLAvSbpassxiDU2zsB7XteSSrXQBFhvFPw"
    "moZ62o0486fkbO2FJvrnLB1+CWfmL4+sBwRoatC5iea+smH3IH+/O+hcZg67nSxK30lCCWbM8MFfgUPgHlrOVxw6TjAQCNeNVI/TYxHoRXRs5Z"
    "pGkifO2NpzJu+7GtHt/15N1WesKYeSS/gl3IWxgVKptpVjqMIwc/grqPjVcrbklasnuIS/IaxbeIH0XFd2O/rBZpZr8wcHFqAAc2UqLpgm6ZzU"
    "OwnupyTFZRgTiAFCShL1SWxvQSamy4KkXMbdvmNnMsgWuhwiuTzg6oeui/02219prwFCqTxfo3XjEwe9jyBfBpSmbnUjKvxTLp/qaUCXrAB8OW"
    "FDzAMiFdEzbXUZPNFvuLpYxL3XXiPCku3HJOoBZJHre/iVY46XWWxCUEP8aNNbvQ4lqyOxbF7vuRpkkjfwmn5Zo0dlppv4gNWqaLM8iPgYWY0n"
    "NES4p/RekZ+Blsz5NOp8cWNu1BtgQVm3bCwsj0oBGKkTNdKznExaYt7m7JUhbLL/bJGab79aSO6bHw0npSPWSsJwN/JDGpw/k0mlPZXP+yhWaz"
    "pWDFnrPu3lcbT7YFyHWQSX8nsCuFzyy5SOxq8/FWDhOwJhn31njbuwHX6FW57c1bvzboRUT5nMDXpeDZ06rWnKMqKg+BFvn+cIEX4oQnEwOXsQ"
    "KiwyLRev8j9u2c07Q5J2zsMsaktoV1HXl1/qGb2PavzB7WiRbnRbQNjw84J5xIVsjIe3NsWurX5RWawzW5dnyY9HpKwQncnFLzuqrBZwSqaVV0"
    "clKW8ucyw9kquM3GDE4F5KHjbPr/LS5Qs734FNSvXPf9BKhE6IUIw10l6lGjyhQasy40uAObKYmYK5G8+uEcVRktp/5ni72XbIi6bVpLJUy3zW"
    "aE3ircJt/M3L/+8G5WewZ1bLctRwxl+mk0nfn0Hv0OfBtyZyhvPCgxNZwBuu3OG8vmpG77LtE+htL/T1rzFFsY7p2KkmFGp9R9uCkOwxjkzrvt"
    "TcJmJw/6JpALehPUcIpZ8BVjIbmPsC61IiUtrHKm1Q/+BxPBgc4="
)
VARIABLES_INDEX = (
    "eNpjYGDjYJRi4mBkYBQu52AU4hBi4mACYQ0B032/nzUzAAEjiPDcuy4JzjnwaeEGBkamCgYNuNCUyqYWXQ4rPgYiQPjvhm6VUvfbAA0bERU="
)
# w: float32[8, 3] and labels: string[2] of a tf.Module, saved by tf.saved_model.save
MODULE_INDEX = (
    "eNpjYGDjYJRi4mBkkOGLd/ZwdfYO8Pf0C3F08nGN93fycnUOiXcPcgzw4GAXYlDI0PjIbPrkmeoFBhnBJH09x5CQIE+n0BDXYP0wxyBPsJ4wR5"
    "9QV6BiFiEmDiaFBA0O093LFO8wyAiX4VPPKMQBVA/CzBoJpv9Psr1jAAJGELGYPWgSnHPg08INDIzM5QwLGOFibMdO7FzKyLGJkZ+BIAj/3dCt"
    "Uup+GwDejTLi"
)


def original(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def test_a_model_of_tensorflow_1_passes_with_its_saver_in_the_graph() -> None:
    report = inspect(
        tar_gz(
            {
                "1/saved_model.pb": original(SAVED_MODEL),
                "1/variables/variables.data-00000-of-00001": struct.pack("<4f", 1, 0, 0, 1),
                "1/variables/variables.index": original(VARIABLES_INDEX),
            }
        )
    )
    # the weights given here are not those that were saved
    assert [check.code for check in report.refusals] == ["VARIABLES_CHECKSUM"]
    assert report.tensorflow_version == "2.20.0"
    assert report.serving_signatures == {
        "serving_default": {
            "method": "tensorflow/serving/predict",
            "inputs": {"x": {"dtype": "float32", "shape": [None, 2]}},
            "outputs": {"y": {"dtype": "float32", "shape": [None, 2]}},
        }
    }
    assert report.variable_bytes == 16


def test_an_index_of_tensorflow_2_is_read_with_strings_in_it() -> None:
    index = read_index(original(MODULE_INDEX))
    # the bytes of strings hold their lengths too, so their size is not known from the shape
    assert index == Index(
        1,
        (
            Tensor("_CHECKPOINTABLE_OBJECT_GRAPH", shard=0, offset=104, size=497, expected_size=None),
            Tensor("b/.ATTRIBUTES/VARIABLE_VALUE", shard=0, offset=96, size=8, expected_size=None),
            Tensor("v/.ATTRIBUTES/VARIABLE_VALUE", shard=0, offset=0, size=96, expected_size=96),
        ),
    )
