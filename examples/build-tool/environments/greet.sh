#!/bin/sh
echo "hello, @WHO@"
