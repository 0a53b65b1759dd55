package pseudonymize_test

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/tink-crypto/tink-go/v2/prf/subtle"

	"meguri/pseudonymize"
)

// BenchmarkToken compares a token with what it is made of, and with what others
// make. A value is a UUID: with its frame four blocks of AES.
func BenchmarkToken(b *testing.B) {
	values := make([]string, 100_000)
	for i := range values {
		values[i] = fmt.Sprintf("0190c3a2-5e1f-7a33-9a7d-%012d", i)
	}
	tokens := tokenizer(b, newKeyset(b))
	for _, v := range values { // a person is new once
		if _, err := tokens.Remembered("person", "mitaka", v); err != nil {
			b.Fatal(err)
		}
	}
	each := func(name string, make func(string) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := make(values[i%len(values)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	each("token", func(v string) error { _, err := tokens.Token("person", "mitaka", v); return err })
	each("remembered", func(v string) error { _, err := tokens.Remembered("person", "mitaka", v); return err })
	cmac, err := subtle.NewAESCMACPRF(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		b.Fatal(err)
	}
	input := append([]byte("\x00\x00\x06person\x00\x00\x06mitaka\x00\x00\x24"), values[0]...)
	each("bare AES-CMAC of Tink", func(string) error { _, err := cmac.ComputePRF(input, pseudonymize.TokenSize); return err })
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		b.Fatal(err)
	}
	var out [16]byte
	each("four blocks of AES", func(string) error {
		for range 4 {
			block.Encrypt(out[:], out[:])
		}
		return nil
	})
	mac := hmac.New(sha256.New, make([]byte, 32))
	var sum []byte
	each("HMAC-SHA-256", func(string) error { mac.Reset(); mac.Write(input); sum = mac.Sum(sum[:0]); return nil })
}
