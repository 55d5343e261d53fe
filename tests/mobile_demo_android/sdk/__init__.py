"""Android's API as class files: what the app compiles against here, where the Android SDK cannot be had.

The stubs are made of three descriptions that others published, so that nobody here decides what Android has:

- ``chaquopy-stubs-android`` (PyPI): the members of API 36 with their parameters' exact types,
- ``@nativescript/types-android`` (npm): superclasses, interfaces, abstract classes, constants, since when,
- the database of R8 (in a package of PyPI): the exact descriptor of each member up to API 31, and since when.
"""
