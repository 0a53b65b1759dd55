// Package flightdrivers brings programs of others, for tests that work as an
// analyst would, and to measure beside: drivers for Arrow Flight SQL, ADBC's
// for Python and Apache Arrow's for JDBC, and what reads Parquet, in Python and
// with Spark. Each is installed once, with pip and Maven, into the user's cache.
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

// readers are what analysts read Parquet with.
var readers = []string{"duckdb==2.0.0", "numpy==2.4.6", "pandas==3.1.1", "polars==2.1.0", "polars-runtime-32==2.1.0", "pyarrow==26.0.1"}

// spark reads it too. PyPI has it with everything that it can do, in 400 MB that
// are packed anew to be installed; Maven has what reads Parquet in half of that.
const spark = `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>meguri</groupId><artifactId>spark</artifactId><version>1</version>
<dependencies><dependency>
<groupId>org.apache.spark</groupId><artifactId>spark-sql_2.13</artifactId><version>4.0.1</version>
<exclusions><exclusion><groupId>org.rocksdb</groupId><artifactId>rocksdbjni</artifactId></exclusion></exclusions>
</dependency></dependencies></project>`

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

// Spark brings Spark's archives into Maven's repository, and returns what Java must
// be told before the name of a program that uses them. It needs a JDK, and Maven with
// its repository once.
func Spark() ([]string, error) {
	if _, err := exec.LookPath("javac"); err != nil {
		return nil, err
	}
	dir, err := folder("spark", spark)
	if err != nil {
		return nil, err
	}
	list := filepath.Join(dir, "classpath")
	if !complete(list) {
		pom := filepath.Join(dir, "pom.xml")
		if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(pom, []byte(spark), 0o600)); err != nil {
			return nil, err
		}
		if err := run("mvn", "-q", "-B", "-f", pom, plugin+":build-classpath", "-Dmdep.outputFile="+list); err != nil {
			return nil, err
		}
	}
	archives, err := os.ReadFile(list)
	if err != nil {
		return nil, err
	}
	options := []string{"-Xmx768m", "-XX:TieredStopAtLevel=1", "-cp", string(archives)}
	for _, inner := range []string{"java.lang", "java.lang.invoke", "java.net", "java.nio", "java.util", "java.util.concurrent", "sun.nio.ch", "sun.util.calendar"} {
		options = append(options, "--add-opens=java.base/"+inner+"=ALL-UNNAMED")
	}
	return options, nil
}

// complete reports whether the archives of a list are there yet.
func complete(list string) bool {
	archives, err := os.ReadFile(list)
	for _, archive := range filepath.SplitList(string(archives)) {
		_, missing := os.Stat(archive)
		err = errors.Join(err, missing)
	}
	return err == nil
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
