"""One .tflite file in the making: weights, vectors and tables in FlatBuffers, as the TFLite schema has them.

FlatBuffers are written from the end of the file to its beginning, every child before the table that
points to it. A child may have several parents: equal vectors and equal options are written once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from syncnas_exporters.graph import Graph
from syncnas_exporters.tflite.lowering import Quantization, TfliteLowering, TfliteOp, TfliteTensor

_SCHEMA_VERSION = 3
_FILE_IDENTIFIER = b"TFL3"
_DATA_ALIGNMENT_BYTES = 16
_TYPES: dict[str, int] = {
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "int8": schema.TensorType.INT8,
    "int32": schema.TensorType.INT32,
}


class FileEmitter:
    """Collects graphs and returns the file; used once.

    Args:
        room_bytes: an estimate of the file's size from above; the builder doubles its memory if it is short.
        lower: makes tensors and operators of a graph.
        versions: of operators, by their name in `BuiltinOperator`; 1 where one is not named.
    """

    def __init__(self, room_bytes: int, lower: Callable[[Graph], TfliteLowering], versions: Mapping[str, int]) -> None:
        self._lower = lower
        self._versions = versions
        self._builder: Any = flatbuffers.Builder(room_bytes)
        schema.BufferStart(self._builder)
        # Buffer 0 is empty by convention: it is what tensors without data point to.
        self._buffers: list[int] = [schema.BufferEnd(self._builder)]
        self._buffer_of: dict[int | bytes, int] = {}
        self._codes: dict[str, int] = {}
        self._options: dict[tuple[str, tuple[tuple[str, int], ...]], int] = {}
        self._int_vectors: dict[tuple[int, ...], int] = {}
        self._zero_points: dict[tuple[int, int], int] = {}
        self._quantizations: dict[tuple[bytes, int, int], int] = {}
        self._subgraphs: list[int] = []
        self._signatures: list[int] = []

    def add_graph(self, graph: Graph) -> None:
        """Write one graph as a subgraph, and the signature that calls it."""
        builder = self._builder
        lowering = self._lower(graph)
        index = {name: position for position, name in enumerate(lowering.tensors)}
        tensors = [self._tensor(tensor, graph.name) for tensor in lowering.tensors.values()]
        operators = [self._operator(op, index) for op in lowering.ops]
        inputs = self._int_vector(tuple(index[name] for name in lowering.inputs.values()))
        outputs = self._int_vector(tuple(index[name] for name in lowering.outputs.values()))
        tensor_vector = self._offset_vector(tensors)
        operator_vector = self._offset_vector(operators)
        key = builder.CreateString(graph.name)
        schema.SubGraphStart(builder)
        schema.SubGraphAddTensors(builder, tensor_vector)
        schema.SubGraphAddInputs(builder, inputs)
        schema.SubGraphAddOutputs(builder, outputs)
        schema.SubGraphAddOperators(builder, operator_vector)
        schema.SubGraphAddName(builder, key)
        self._subgraphs.append(schema.SubGraphEnd(builder))
        input_map = self._offset_vector([self._tensor_map(*pair, index) for pair in lowering.inputs.items()])
        output_map = self._offset_vector([self._tensor_map(*pair, index) for pair in lowering.outputs.items()])
        schema.SignatureDefStart(builder)
        schema.SignatureDefAddInputs(builder, input_map)
        schema.SignatureDefAddOutputs(builder, output_map)
        schema.SignatureDefAddSignatureKey(builder, key)
        schema.SignatureDefAddSubgraphIndex(builder, len(self._signatures))
        self._signatures.append(schema.SignatureDefEnd(builder))

    def finish(self, description: str) -> bytes:
        """Write the model table over everything added so far and return the file."""
        builder = self._builder
        codes = self._offset_vector([self._operator_code(code) for code in self._codes])
        subgraphs = self._offset_vector(self._subgraphs)
        text = builder.CreateString(description)
        buffers = self._offset_vector(self._buffers)
        signatures = self._offset_vector(self._signatures)
        schema.ModelStart(builder)
        schema.ModelAddVersion(builder, _SCHEMA_VERSION)
        schema.ModelAddOperatorCodes(builder, codes)
        schema.ModelAddSubgraphs(builder, subgraphs)
        schema.ModelAddDescription(builder, text)
        schema.ModelAddBuffers(builder, buffers)
        schema.ModelAddSignatureDefs(builder, signatures)
        builder.Finish(schema.ModelEnd(builder), _FILE_IDENTIFIER)
        return bytes(memoryview(builder.Bytes)[builder.head :])

    def _tensor(self, tensor: TfliteTensor, graph_name: str) -> int:
        builder = self._builder
        # Tools that calibrate or quantize know a tensor by its name, which must be unique in the file.
        name = builder.CreateString(f"{graph_name}/{tensor.name}")
        shape = self._int_vector(tensor.shape)
        buffer = 0 if tensor.data is None else self._buffer(tensor.data)
        quantization = 0 if tensor.quantization is None else self._quantization(tensor.quantization)
        computed = "float32" if tensor.quantization is None else "int8"
        kind = computed if tensor.data is None else tensor.data.dtype.name
        schema.TensorStart(builder)
        schema.TensorAddShape(builder, shape)
        schema.TensorAddType(builder, _TYPES[kind])
        schema.TensorAddBuffer(builder, buffer)
        schema.TensorAddName(builder, name)
        if quantization:
            schema.TensorAddQuantization(builder, quantization)
        return int(schema.TensorEnd(builder))

    def _quantization(self, quantization: Quantization) -> int:
        scales, zero_point, axis = quantization
        key = (scales.tobytes(), zero_point, axis)
        if key not in self._quantizations:
            builder = self._builder
            zeros = (zero_point, scales.size)
            if zeros not in self._zero_points:
                self._zero_points[zeros] = builder.CreateNumpyVector(np.full(scales.size, zero_point, np.int64))
            scale_vector = builder.CreateNumpyVector(scales)
            schema.QuantizationParametersStart(builder)
            schema.QuantizationParametersAddScale(builder, scale_vector)
            schema.QuantizationParametersAddZeroPoint(builder, self._zero_points[zeros])
            schema.QuantizationParametersAddQuantizedDimension(builder, axis)
            self._quantizations[key] = schema.QuantizationParametersEnd(builder)
        return self._quantizations[key]

    def _buffer(self, data: npt.NDArray[Any]) -> int:
        """Index of the buffer that holds `data`: float32 shared by identity, what was made of it by value."""
        key = id(data) if data.dtype == np.float32 else data.tobytes()
        index = self._buffer_of.get(key)
        if index is not None:
            return index
        builder = self._builder
        builder.StartVector(1, data.nbytes, _DATA_ALIGNMENT_BYTES)
        end = builder.head
        builder.head = end - data.nbytes
        # Through a memoryview: assigning to a slice of a bytearray would make a copy of the data first.
        memoryview(builder.Bytes)[builder.head : end] = data.data.cast("B")
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        self._buffers.append(schema.BufferEnd(builder))
        self._buffer_of[key] = len(self._buffers) - 1
        return len(self._buffers) - 1

    def _operator(self, op: TfliteOp, index: dict[str, int]) -> int:
        builder = self._builder
        inputs = self._int_vector(tuple([index[name] for name in op.inputs]))
        outputs = self._int_vector(tuple([index[name] for name in op.outputs]))
        options = self._options_table(op) if op.options else 0
        code = self._codes.setdefault(op.code, len(self._codes))
        schema.OperatorStart(builder)
        schema.OperatorAddOpcodeIndex(builder, code)
        schema.OperatorAddInputs(builder, inputs)
        schema.OperatorAddOutputs(builder, outputs)
        if op.options:
            schema.OperatorAddBuiltinOptionsType(builder, getattr(schema.BuiltinOptions, op.options))
            schema.OperatorAddBuiltinOptions(builder, options)
        return int(schema.OperatorEnd(builder))

    def _options_table(self, op: TfliteOp) -> int:
        key = (op.options, op.fields)
        if key not in self._options:
            getattr(schema, f"{op.options}Start")(self._builder)
            for field, value in op.fields:
                getattr(schema, f"{op.options}Add{field}")(self._builder, value)
            self._options[key] = getattr(schema, f"{op.options}End")(self._builder)
        return self._options[key]

    def _operator_code(self, name: str) -> int:
        code = getattr(schema.BuiltinOperator, name)
        schema.OperatorCodeStart(self._builder)
        # Both fields, as readers before schema 3a know the first alone; it is a byte, and ours all fit.
        schema.OperatorCodeAddDeprecatedBuiltinCode(self._builder, code)
        schema.OperatorCodeAddVersion(self._builder, self._versions.get(name, 1))
        schema.OperatorCodeAddBuiltinCode(self._builder, code)
        return int(schema.OperatorCodeEnd(self._builder))

    def _tensor_map(self, name: str, tensor: str, index: Mapping[str, int]) -> int:
        text = self._builder.CreateString(name)
        schema.TensorMapStart(self._builder)
        schema.TensorMapAddName(self._builder, text)
        schema.TensorMapAddTensorIndex(self._builder, index[tensor])
        return int(schema.TensorMapEnd(self._builder))

    def _int_vector(self, values: tuple[int, ...]) -> int:
        offset = self._int_vectors.get(values)
        if offset is None:
            builder = self._builder
            builder.StartVector(4, len(values), 4)
            builder.head -= 4 * len(values)
            struct.pack_into(f"<{len(values)}i", builder.Bytes, builder.head, *values)
            offset = self._int_vectors[values] = int(builder.EndVector())
        return offset

    def _offset_vector(self, offsets: Sequence[int]) -> int:
        """A vector of tables: each element is the distance from its own place to the table."""
        here = self._builder
        here.StartVector(4, len(offsets), 4)
        end = here.Offset()
        count = len(offsets)
        distances = [end + 4 * (count - position) - offset for position, offset in enumerate(offsets)]
        here.head -= 4 * count
        struct.pack_into(f"<{count}I", here.Bytes, here.head, *distances)
        return int(here.EndVector())
