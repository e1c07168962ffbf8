"""Candidates as Hugging Face folders; nothing but `huggingface` needs transformers."""
