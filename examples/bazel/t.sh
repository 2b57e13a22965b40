#!/bin/bash
# Passes where the image is, and nowhere else.
[ "$(/usr/local/bin/greet Bazel)" = "hello, Bazel" ]
