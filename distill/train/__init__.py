"""Fine-tuning a student on kept traces under DeepSpeed ZeRO."""
