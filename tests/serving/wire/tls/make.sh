#!/bin/sh
# Makes the certificates of this folder, which the tests of TLS use: an authority, a server and a client of it.
set -eu
cd "$(dirname "$0")"
key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
leaf() {
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$1 of the tests" |
        openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 36500 -out "$1.pem" -extfile /dev/fd/3 3<<END
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = $2
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost, IP:127.0.0.1
END
}
key ca
openssl req -x509 -new -key ca.key -days 36500 -subj "/CN=authority of the tests" -out ca.pem \
    -addext "basicConstraints = critical, CA:TRUE" -addext "keyUsage = critical, keyCertSign, cRLSign"
leaf server serverAuth
leaf client clientAuth
rm ca.key ca.srl
