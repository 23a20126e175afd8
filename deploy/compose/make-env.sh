#!/bin/sh
# Prints .env.example with a password of 32 hexadecimal digits behind each empty name that ends in PASSWORD.
set -eu
while IFS= read -r line; do
    case $line in
    *PASSWORD=) printf '%s%s\n' "$line" "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" ;;
    *) printf '%s\n' "$line" ;;
    esac
done <"$(dirname "$0")/../../.env.example"
