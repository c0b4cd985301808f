"""Shader graphs as expressions: small methods that take and return sockets."""

from __future__ import annotations

from typing import Any

from facewright.scene.compat import socket

Socket = Any


class Graph:
    """Builds one node tree. Arguments may be sockets, floats or colours (3 or 4 floats)."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def node(self, kind: str, **settings: Any) -> Any:
        """Return a new node of bl_idname `kind` with attributes set."""
        node = self.tree.nodes.new(kind)
        for name, value in settings.items():
            setattr(node, name, value)
        return node

    def feed(self, target: Any, value: Any) -> None:
        """Link a socket, or set a constant, on input socket `target`."""
        if hasattr(value, "is_output"):
            self.tree.links.new(value, target)
        elif isinstance(value, int | float):
            target.default_value = value if target.type in ("VALUE", "INT") else (value,) * len(target.default_value)
        else:
            size = len(target.default_value)
            target.default_value = (*value, 1.0)[:size]

    def attribute(self, name: str, kind: str = "GEOMETRY") -> Any:
        """Return the Attribute node of attribute `name` of the geometry, or of the OBJECT."""
        return self.node("ShaderNodeAttribute", attribute_name=name, attribute_type=kind)

    def math(self, operation: str, *values: Any, clamp: bool = False) -> Socket:
        """Return a scalar operation, e.g. math("ADD", a, b)."""
        node = self.node("ShaderNodeMath", operation=operation, use_clamp=clamp)
        for target, value in zip(node.inputs, values, strict=False):
            self.feed(target, value)
        return node.outputs[0]

    def vector(self, operation: str, *values: Any) -> Socket:
        """Return a vector operation, e.g. vector("MULTIPLY", a, b); SCALE takes the factor as second value."""
        node = self.node("ShaderNodeVectorMath", operation=operation)
        if operation == "SCALE":
            self.feed(node.inputs[0], values[0])
            self.feed(node.inputs["Scale"], values[1])
        else:
            for target, value in zip(node.inputs, values, strict=False):
                self.feed(target, value)
        return node.outputs["Value" if operation in ("DOT_PRODUCT", "LENGTH") else "Vector"]

    def split(self, vector: Socket) -> list[Socket]:
        """Return the three components of a vector or colour."""
        node = self.node("ShaderNodeSeparateXYZ")
        self.feed(node.inputs[0], vector)
        return list(node.outputs[:3])

    def join(self, *parts: Any) -> Socket:
        """Return the vector of three scalars."""
        node = self.node("ShaderNodeCombineXYZ")
        for target, value in zip(node.inputs, parts, strict=True):
            self.feed(target, value)
        return node.outputs[0]

    def noise(
        self, place: Socket, scale: float, detail: float = 2.0, offset: float = 0.0, roughness: float = 0.5
    ) -> Socket:
        """Return fractal noise in about [0, 1] at `place` (mm), `scale` features per mm; `offset` shifts the field."""
        moved = self.vector("ADD", place, (offset, 1.7 * offset, -offset))
        node = self.node("ShaderNodeTexNoise")
        self.feed(node.inputs["Vector"], moved)
        node.inputs["Scale"].default_value = scale
        node.inputs["Detail"].default_value = detail
        node.inputs["Roughness"].default_value = roughness
        return socket(node.outputs, "Fac", "Factor")

    def ramp(self, value: Any, low: float, high: float, out_low: float = 0.0, out_high: float = 1.0) -> Socket:
        """Return `value` mapped smoothly from [low, high] to [out_low, out_high], clamped."""
        node = self.node("ShaderNodeMapRange", interpolation_type="SMOOTHSTEP")
        for name, item in (
            ("Value", value),
            ("From Min", low),
            ("From Max", high),
            ("To Min", out_low),
            ("To Max", out_high),
        ):
            self.feed(node.inputs[name], item)
        return node.outputs[0]

    def mix(self, factor: Any, a: Any, b: Any) -> Socket:
        """Return the colour a + factor (b - a)."""
        node = self.node("ShaderNodeMix", data_type="RGBA")
        self.feed(node.inputs[0], factor)
        self.feed(node.inputs[6], a)
        self.feed(node.inputs[7], b)
        return node.outputs[2]

    def image(self, image: Any, place: Socket, beyond: str = "REPEAT") -> Any:
        """Return the Image Texture node of `image` sampled at `place` (uv); `beyond` its edges: REPEAT or EXTEND."""
        node = self.node("ShaderNodeTexImage", image=image, extension=beyond)
        self.feed(node.inputs["Vector"], place)
        return node

    def bump(self, height: Any, distance_m: float, strength: float = 1.0, normal: Any = None) -> Socket:
        """Return a bumped normal; `height` in [0, 1] spans `distance_m`."""
        node = self.node("ShaderNodeBump")
        node.inputs["Distance"].default_value = distance_m
        node.inputs["Strength"].default_value = strength
        self.feed(node.inputs["Height"], height)
        if normal is not None:
            self.feed(node.inputs["Normal"], normal)
        return node.outputs[0]

    def shader(self, kind: str, **inputs: Any) -> Socket:
        """Return a shader node's output; keyword names are input names with _ for space."""
        node = self.node(kind)
        for name, value in inputs.items():
            self.feed(node.inputs[name.replace("_", " ")], value)
        return node.outputs[0]

    def blend(self, factor: Any, a: Socket, b: Socket) -> Socket:
        """Return the shader a where factor is 0 and b where it is 1."""
        node = self.node("ShaderNodeMixShader")
        self.feed(node.inputs[0], factor)
        self.feed(node.inputs[1], a)
        self.feed(node.inputs[2], b)
        return node.outputs[0]

    def output(self, shader: Socket) -> None:
        """Make `shader` the surface of the material."""
        node = self.node("ShaderNodeOutputMaterial")
        self.feed(node.inputs["Surface"], shader)
