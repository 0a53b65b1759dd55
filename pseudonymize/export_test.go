package pseudonymize

import (
	"bytes"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// DeriveCheaply makes the tests' keysets cost next to nothing to open.
func DeriveCheaply() { argonDefault.Time, argonDefault.MemoryKiB, argonDefault.Threads = 1, 64, 1 }

// DefaultDerivation is what keysets are derived with outside tests.
var DefaultDerivation = argonDefault

// SetAllocator has a plan's columns made by an allocator that counts.
func SetAllocator(p *Plan, mem memory.Allocator) { p.mem = mem }

// ClearText is the keyset as it must never lie in a file.
func ClearText(k *Keyset) ([]byte, error) {
	var clear bytes.Buffer
	err := insecurecleartextkeyset.Write(k.handle, keyset.NewBinaryWriter(&clear))
	return clear.Bytes(), err
}

// MaxCached is how many tokens a tokenizer remembers.
const MaxCached = maxCached
