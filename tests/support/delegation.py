"""Whether XNNPACK takes the whole first graph of a .tflite file."""

from __future__ import annotations

from ai_edge_litert.interpreter import Interpreter


def wholly_delegated(model: bytes) -> bool:
    """One delegate makes all outputs of the first graph from its inputs, and no operator is left beside it."""
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    delegates = [op for op in interpreter._get_ops_details() if op["op_name"] == "DELEGATE"]
    if len(delegates) != 1:
        return False
    outputs = {out["index"] for out in interpreter.get_output_details()}
    inputs = {x["index"] for x in interpreter.get_input_details()}
    return set(delegates[0]["outputs"]) == outputs and set(delegates[0]["inputs"]) >= inputs
