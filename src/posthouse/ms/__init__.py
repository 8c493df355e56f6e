"""The message store's own logic (architecture: the house): what any store and any way of access does alike. Pure."""
