#!/bin/sh
# Smoke test of one checkout release, asked directly and not through the route.
#
#   SMOKE_URL      address of the release, such as http://checkout-1a2b3c4d.shop
#   SMOKE_VERSION  version that has to answer (optional)
#
# Nothing is charged and nothing is stored: the test order is a dry run.
set -eu

url=${SMOKE_URL:-${1:-}}
version=${SMOKE_VERSION:-${2:-}}
if [ -z "$url" ]; then
    echo "smoke: set SMOKE_URL to the address of the release" >&2
    exit 2
fi
url=${url%/}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
    echo "smoke: $1" >&2
    exit 1
}

# request NAME PATH [CURL OPTION...]: leaves the headers in NAME.head and the body in NAME.body.
# No request may take longer than 5 s, all tries of one together no longer than 25 s.
request() {
    name=$1 path=$2
    shift 2
    curl --silent --show-error --fail \
        --connect-timeout 2 --max-time 5 \
        --retry 3 --retry-delay 1 --retry-max-time 20 --retry-connrefused \
        --dump-header "$work/$name.head" --output "$work/$name.body" \
        "$@" "$url$path" || fail "$name: $path does not answer as it should"
}

# 1. It can serve: the database and the cache answer it.
request ready /readyz

# 2. It is the release that we think it is.
request version /version
served=$(tr -d '\r' <"$work/version.head" | awk -F ': *' 'tolower($1) == "x-release" { print $2; exit }')
[ -n "$served" ] || fail "version: the answer has no x-release header"
if [ -n "$version" ] && [ "$served" != "$version" ]; then
    fail "version: expected $version, $served answered"
fi

# 3. It can price a cart: two items at 12.50 make 25.00.
request order '/orders?dryRun=true' \
    --request POST \
    --header 'content-type: application/json' \
    --data '{"customerId":"00000000-0000-4000-8000-000000000001","currency":"EUR","items":[{"sku":"smoke-0001","quantity":2,"unitPriceCents":1250}]}'
grep -Eq '"totalCents" *: *2500([^0-9]|$)' "$work/order.body" ||
    fail "order: expected a total of 2500 cents, got: $(head -c 300 "$work/order.body")"

echo "smoke: $served is ready, prices a cart and says who it is"
