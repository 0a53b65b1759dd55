// Package flightdrivers brings programs of others, for tests that work as an
// analyst would: drivers for Arrow Flight SQL, ADBC's for Python and Apache
// Arrow's for JDBC, and what reads Parquet in Python. Each is installed once,
// with pip and Maven, into the user's cache.
package flightdrivers

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	plugin   = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
	artifact = "org.apache.arrow:flight-sql-jdbc-driver:18.3.0"
	jarName  = "flight-sql-jdbc-driver-18.3.0.jar"
	jarSum   = "3f418b46c880e263558c5de669bdbede2c5d4375527ced116fb29f795b03704c"
)

var packages = []string{"adbc-driver-flightsql==1.13.0", "adbc-driver-manager==1.13.0", "pyarrow==26.0.1"}

// readers are what analysts read Parquet with. Spark is not among them: to
// install and start it takes longer than everything else together.
var readers = []string{"duckdb==2.0.0", "numpy==2.4.6", "pandas==3.1.1", "polars==2.1.0", "polars-runtime-32==2.1.0", "pyarrow==26.0.1"}

func folder(name string, parts ...string) (string, error) {
	cache, err := os.UserCacheDir()
	sum := sha256.Sum256([]byte(strings.Join(parts, " ")))
	return filepath.Join(cache, "meguri-test", name+"-"+hex.EncodeToString(sum[:])[:12]), err
}

// Python is where ADBC installs an interpreter that has the driver.
func Python() (string, error) {
	dir, err := folder("adbc", packages...)
	return filepath.Join(dir, "bin", "python"), err
}

// Jar is where JDBC installs the driver.
func Jar() (string, error) {
	dir, err := folder("jdbc", artifact)
	return filepath.Join(dir, jarName), err
}

// ReadersPython is where Readers installs an interpreter that reads Parquet.
func ReadersPython() (string, error) {
	dir, err := folder("readers", readers...)
	return filepath.Join(dir, "bin", "python"), err
}

// ADBC installs the driver for Python. It needs python3 with venv, and PyPI once.
func ADBC() error {
	program, err := Python()
	if err != nil {
		return err
	}
	return venv(program, packages)
}

// Readers installs what reads Parquet in Python. It needs python3 with venv, and
// PyPI once.
func Readers() error {
	program, err := ReadersPython()
	if err != nil {
		return err
	}
	return venv(program, readers)
}

// venv makes the environment that an interpreter is of.
func venv(program string, packages []string) error {
	dir := filepath.Dir(filepath.Dir(program))
	ready := filepath.Join(dir, "ready")
	if _, err := os.Stat(ready); err == nil {
		return nil
	}
	if err := run("python3", "-m", "venv", "--clear", dir); err != nil {
		return err
	}
	install := []string{"-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"}
	if err := run(program, append(install, packages...)...); err != nil {
		return err
	}
	return os.WriteFile(ready, nil, 0o600)
}

// JDBC installs the driver for Java. It needs a JDK, and Maven with its
// repository once.
func JDBC() error {
	if _, err := exec.LookPath("javac"); err != nil {
		return err
	}
	jar, err := Jar()
	if err != nil {
		return err
	}
	if _, err := os.Stat(jar); err == nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "meguri-jdbc-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) // what is left of it is of no use
	if err := run("mvn", "-q", "-B", plugin+":copy", "-Dartifact="+artifact, "-DoutputDirectory="+dir); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, jarName))
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != jarSum {
		return fmt.Errorf("%s is not the file that it was: SHA-256 %x", artifact, sum)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(jar), 0o700), os.WriteFile(jar+".part", text, 0o600)); err != nil {
		return err
	}
	return os.Rename(jar+".part", jar)
}

func run(name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
