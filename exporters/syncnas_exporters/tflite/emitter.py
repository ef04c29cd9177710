"""One .tflite file in the making: weights, vectors and tables in FlatBuffers, as the TFLite schema has them.

FlatBuffers are written from the end of the file to its beginning, every child before the table that
points to it. A child may have several parents: equal vectors and equal options are written once.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from syncnas_exporters.graph import Graph
from syncnas_exporters.tflite.lowering import TfliteLowering, TfliteOp, TfliteTensor

_SCHEMA_VERSION = 3
_FILE_IDENTIFIER = b"TFL3"
_DATA_ALIGNMENT_BYTES = 16


class FileEmitter:
    """Collects graphs and returns the file; used once.

    Args:
        room_bytes: an estimate of the file's size from above; the builder doubles its memory if it is short.
    """

    def __init__(self, room_bytes: int) -> None:
        self._builder: Any = flatbuffers.Builder(room_bytes)
        schema.BufferStart(self._builder)
        # Buffer 0 is empty by convention: it is what tensors without data point to.
        self._buffers: list[int] = [schema.BufferEnd(self._builder)]
        self._buffer_of: dict[int | bytes, int] = {}
        self._codes: dict[str, int] = {}
        self._options: dict[tuple[str, tuple[tuple[str, int], ...]], int] = {}
        self._int_vectors: dict[tuple[int, ...], int] = {}
        self._subgraphs: list[int] = []
        self._signatures: list[int] = []

    def add_graph(self, graph: Graph) -> None:
        """Write one graph as a subgraph, and the signature that calls it."""
        builder = self._builder
        lowering = TfliteLowering(graph)
        index = {name: position for position, name in enumerate(lowering.tensors)}
        names = {name: builder.CreateString(name) for name in index}
        tensors = [self._tensor(tensor, names[tensor.name]) for tensor in lowering.tensors.values()]
        operators = [self._operator(op, index) for op in lowering.ops]
        inputs = self._int_vector(tuple(index[name] for name in graph.inputs))
        outputs = self._int_vector(tuple(index[name] for name in graph.outputs))
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
        input_map = self._offset_vector([self._tensor_map(names[name], index[name]) for name in graph.inputs])
        output_map = self._offset_vector([self._tensor_map(names[name], index[name]) for name in graph.outputs])
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

    def _tensor(self, tensor: TfliteTensor, name: int) -> int:
        builder = self._builder
        shape = self._int_vector(tensor.shape)
        buffer = 0 if tensor.data is None else self._buffer(tensor.data)
        integers = tensor.data is not None and tensor.data.dtype == np.int32
        schema.TensorStart(builder)
        schema.TensorAddShape(builder, shape)
        schema.TensorAddType(builder, schema.TensorType.INT32 if integers else schema.TensorType.FLOAT32)
        schema.TensorAddBuffer(builder, buffer)
        schema.TensorAddName(builder, name)
        return int(schema.TensorEnd(builder))

    def _buffer(self, data: npt.NDArray[Any]) -> int:
        """Index of the buffer that holds `data`: float32 shared by identity, int32 shared by value."""
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
        schema.OperatorCodeAddVersion(self._builder, 1)
        schema.OperatorCodeAddBuiltinCode(self._builder, code)
        return int(schema.OperatorCodeEnd(self._builder))

    def _tensor_map(self, name: int, tensor_index: int) -> int:
        schema.TensorMapStart(self._builder)
        schema.TensorMapAddName(self._builder, name)
        schema.TensorMapAddTensorIndex(self._builder, tensor_index)
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
