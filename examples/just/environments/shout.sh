#!/bin/sh
printf '@GREETING@, '
exec tr a-z A-Z
