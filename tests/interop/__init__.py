"""Posthouse beside real software from Debian's packages, in network namespaces with the real port 25."""
