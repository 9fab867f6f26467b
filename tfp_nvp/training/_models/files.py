"""How a model is written to .keras files, weights files and SavedModels, and read again."""

from __future__ import annotations

from typing import Any

import keras

from tfp_nvp._module import apply_settings, settings_of
from tfp_nvp._serialization import checked, deserialize, serialize
from tfp_nvp._warnings import warn
from tfp_nvp.training._models.default_signature import default_signature
from tfp_nvp.training._models.first_edition import first_edition_layers
from tfp_nvp.training._models.schema import Schema


class Files(keras.Model):
    """The methods of `FlowModel` that Keras and TensorFlow call to write and read it."""

    distribution: Any
    encoder: Any
    schema: Schema | None
    _fittable: Any

    def get_config(self) -> dict[str, Any]:
        encoder = None if self.encoder is None else keras.saving.serialize_keras_object(self.encoder)
        config = {"name": self.name, "distribution": serialize(self.distribution), "encoder": encoder}
        schema = None if self.schema is None else self.schema.get_config()
        return config | {"schema": schema, "settings": settings_of(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        with checked(config, custom_objects):
            encoder = keras.saving.deserialize_keras_object(config["encoder"], custom_objects=custom_objects)
            distribution = deserialize(config["distribution"], custom_objects)
            schema = None if config.get("schema") is None else Schema.from_config(config["schema"])
            known = ("name", "distribution", "encoder", "schema", "settings")
            options = {name: value for name, value in config.items() if name not in known}
            model = cls(distribution, encoder, schema=schema, name=config["name"], **options)
            apply_settings(model, config.get("settings", []))
        return model

    def compile_from_config(self, config: dict[str, Any]) -> None:
        # Keras does not compile a model that overrides `compile`; ours takes Keras' arguments.
        with checked(config):
            self.compile(**keras.saving.deserialize_keras_object(config))

    # SavedModels.

    def export(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """Refuses to write the one function that Keras would: `tfp_nvp.export(model, path)` writes all signatures.

        Raises:
          NotImplementedError: always.
        """
        raise NotImplementedError(
            f"FlowModel.export writes nothing: call `tfp_nvp.export(model, {str(filepath)!r})`. It writes a version's "
            "folder there, with signatures for log_prob, sample, encode and decode, and checks it."
        )

    @property
    def _default_save_signature(self) -> Any:
        return default_signature(self)

    def _trackable_children(self, save_type: str = "checkpoint", **kwargs: Any) -> dict[str, Any]:
        if save_type == "savedmodel" and self._default_save_signature is None:
            warn(
                f"{self.name} has no signature in a SavedModel that TensorFlow writes, because its inputs are integers "
                "or not known. Use `tfp_nvp.export(model, path)`."
            )
        return super()._trackable_children(save_type, **kwargs)

    # Files of version 0.1 hold the weights as a list of layers. Keras reads the attributes once, by their names.

    def load_own_variables(self, store: Any) -> None:
        if "flow_layers" in (getattr(store, "h5_file", None) or ()):
            self.__dict__["_first_edition"] = first_edition_layers(self._fittable.parts())
        super().load_own_variables(store)

    def __dir__(self) -> list[str]:
        if "_first_edition" in self.__dict__:
            return ["encoder", "flow_layers"]
        return [name for name in super().__dir__() if name != "flow_layers"]

    @property
    def flow_layers(self) -> list[keras.layers.Layer]:
        """The layers of the distribution from the data to the base; once, those of a file of version 0.1 being read."""
        return self.__dict__.pop("_first_edition", None) or self._fittable.parts()

    def get_build_config(self) -> dict:
        return {}

    def build_from_config(self, config: dict) -> None:
        """Builds nothing: `__init__` has made all weights."""
