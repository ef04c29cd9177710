"""Which operator of a .tflite file XNNPACK does not take, as far as this host can tell.

LiteRT tells only that there is one. So each operator is tried alone, with the tensors that it has in the file.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

_TYPES = {"FLOAT32": "fp32", "FLOAT16": "fp16"}


def operator_outside(path: Path) -> str | None:
    """The first operator that is left to LiteRT's own kernels, such as ``HARD_SWISH (int8)``; None where there is none.

    Also None where the file cannot be read or an operator cannot be tried.
    """
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
    types = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
    try:
        model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
        tried = set()
        for subgraph in model.subgraphs:
            for operator in subgraph.operators:
                code = model.operatorCodes[operator.opcodeIndex]
                kind = types[subgraph.tensors[operator.outputs[0]].type]
                what = f"{names[code.builtinCode]} ({_TYPES.get(kind, kind.lower())})"
                key = (what, len(operator.inputs), len(operator.outputs))
                if key not in tried and not _taken(model, subgraph, operator):
                    return what
                tried.add(key)
    except Exception:  # the generated classes follow any offset, and LiteRT refuses in several ways
        return None
    return None


def _taken(model: Any, subgraph: Any, operator: Any) -> bool:
    """Whether XNNPACK takes one operator of a subgraph."""
    import flatbuffers
    from ai_edge_litert.interpreter import Interpreter

    computed = [i for i in operator.inputs if i >= 0 and model.buffers[subgraph.tensors[i].buffer].data is None]
    if not computed:
        return True
    alone, one = copy.copy(model), copy.copy(subgraph)
    one.operators, one.inputs, one.outputs = [operator], computed, operator.outputs
    alone.subgraphs, alone.signatureDefs = [one], []
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(alone.Pack(builder), b"TFL3")
    interpreter = Interpreter(model_content=bytes(builder.Output()), num_threads=1)
    interpreter.allocate_tensors()
    return any(op["op_name"] == "DELEGATE" for op in interpreter._get_ops_details())
