#!/usr/bin/env bash
# Puts TEXMEX SIFT1M, product-quantized, where run_experiment and `--fixture sift1m` find it.
set -euo pipefail

default_url=ftp://ftp.irisa.fr/local/texmex/corpus/sift.tar.gz
url=${SIFT1M_URL:-$default_url}
output=$HOME/.cache/lance-autoresearch
from=
stand_in=

usage() {
    cat <<EOF
Gets TEXMEX SIFT1M, trains the codebook, encodes the base, and writes a data folder.

Usage: scripts/prepare_fixtures.sh [--url URL | --from DIR] [--output DIR] [--stand-in]

  --url URL     the archive sift.tar.gz, instead of
                $default_url
                (also by the variable SIFT1M_URL); an interrupted download goes on where it stopped
  --from DIR    no download: DIR has the archive sift.tar.gz, or the files
                sift_base.fvecs, sift_learn.fvecs, sift_query.fvecs, sift_groundtruth.ivecs
  --output DIR  the data folder to write, instead of ~/.cache/lance-autoresearch
  --stand-in    other vectors in files of these names: don't expect SIFT1M's sizes, and don't call the result so

It needs about 1 GB of disk while it runs (download and unpacked files, removed at the end), and 22 MB after.

Examples:
  scripts/prepare_fixtures.sh
  scripts/prepare_fixtures.sh --from ~/Downloads
EOF
}

fail() {
    echo "prepare_fixtures: $1" >&2
    exit "${2:-1}"
}

while (($#)); do
    case $1 in
        --url | --from | --output)
            (($# >= 2)) && [[ -n $2 ]] || fail "$1 needs a value; see --help" 2
            declare "${1#--}=$2"
            shift 2
            ;;
        --stand-in) stand_in=yes && shift ;;
        -h | --help) usage && exit ;;
        *) fail "unknown argument '$1'; see --help" 2 ;;
    esac
done
output=${output%/}
[[ -n $output ]] || fail "the root folder can't be the data folder" 2
mkdir -p "$(dirname "$output")"
# The build below runs in the project's folder.
[[ $output == /* ]] || output=$PWD/$output

# Beside the output, so that a second run finds what the first one got.
work=$output.download

# Prints the folder below $1 that has the four files, if one has.
vectors_in() {
    local folder
    for folder in "$1" "$1/sift"; do
        if [[ -f $folder/sift_base.fvecs && -f $folder/sift_learn.fvecs && -f $folder/sift_query.fvecs &&
            -f $folder/sift_groundtruth.ivecs ]]; then
            (cd "$folder" && pwd)
            return
        fi
    done
}

unpack() {
    echo "unpacking $1" >&2
    mkdir -p "$work/unpacked"
    tar -xzf "$1" -C "$work/unpacked" || fail "$1: can't be unpacked; remove it and run this again"
    vectors=$(vectors_in "$work/unpacked")
    [[ -n $vectors ]] || fail "$1: does not have sift_base.fvecs and the other three files; is it sift.tar.gz?"
}

download() {
    local archive=$work/sift.tar.gz
    mkdir -p "$work"
    if [[ ! -f $archive ]]; then
        echo "downloading $url" >&2
        curl --fail --location --retry 3 --continue-at - --output "$archive.part" "$url" ||
            fail "the download stopped; run this again to go on, or get sift.tar.gz yourself and use --from"
        mv "$archive.part" "$archive"
    fi
    unpack "$archive"
}

if [[ -z $from ]]; then
    download
else
    [[ -d $from ]] || fail "$from: is no folder"
    vectors=$(vectors_in "$from")
    if [[ -z $vectors ]]; then
        [[ -f $from/sift.tar.gz ]] || fail "$from: has neither sift.tar.gz nor sift_base.fvecs and the other three files"
        unpack "$from/sift.tar.gz"
    fi
fi

check_size() {
    local found
    found=$(wc -c <"$vectors/$1")
    ((found == $2)) || fail "$vectors/$1: has $((found)) bytes, SIFT1M's has $2; get it again (--stand-in for other vectors)"
}

name=sift1m
if [[ -n $stand_in ]]; then
    name=sift1m-stand-in
else
    check_size sift_base.fvecs 516000000
    check_size sift_learn.fvecs 51600000
    check_size sift_query.fvecs 5160000
    check_size sift_groundtruth.ivecs 4040000
fi

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo run --release --bin pqbench -- prepare --name "$name" --output "$output" \
    --base "$vectors/sift_base.fvecs" --learn "$vectors/sift_learn.fvecs" \
    --query "$vectors/sift_query.fvecs" --groundtruth "$vectors/sift_groundtruth.ivecs"
# Only what this script made.
rm -rf "$work/unpacked" "$work/sift.tar.gz"
[[ ! -d $work ]] || rmdir "$work" 2>/dev/null || true
echo "$name is in $output" >&2
