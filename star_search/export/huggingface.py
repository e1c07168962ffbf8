"""The exported model known to transformers: its automatic classes need no code of the folder once this is imported."""

from __future__ import annotations

try:
    from transformers import AutoConfig, AutoModelForCausalLM
except ImportError as error:
    raise ImportError("star_search.export.huggingface needs transformers: pip install 'star-search[huggingface]'") from error

from star_search.export.star_config import StarConfig
from star_search.export.star_model import StarForCausalLM

__all__ = ["StarConfig", "StarForCausalLM"]

AutoConfig.register(StarConfig.model_type, StarConfig, exist_ok=True)
AutoModelForCausalLM.register(StarConfig, StarForCausalLM, exist_ok=True)
