// Writes the Node, Python and Go SDKs of a Pulumi package schema, with the engine's own generators.
//
//	sdks [-local] SCHEMA DIRECTORY
//
// The result is what `pulumi package gen-sdk` writes, but no language hosts are needed. With -local it
// is what `pulumi package add` puts into a project, where npm compiles the SDK for Node.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	golang "github.com/pulumi/pulumi/pkg/v3/codegen/go"
	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/python"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
)

const tool = "pulumi"

var local = flag.Bool("local", false, "write the SDKs for a project's own folder")

type generator func(*schema.Package) (map[string][]byte, error)

// No generator gets a loader, which would find the packages that a schema refers to: ours refers to none.
var generators = map[string]generator{
	"go": func(pkg *schema.Package) (map[string][]byte, error) {
		return golang.GeneratePackage(tool, pkg, nil)
	},
	"nodejs": func(pkg *schema.Package) (map[string][]byte, error) {
		return nodejs.GeneratePackage(tool, pkg, nil, nil, *local, nil)
	},
	"python": func(pkg *schema.Package) (map[string][]byte, error) {
		return python.GeneratePackage(tool, pkg, nil, nil)
	},
}

func main() {
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: sdks [-local] SCHEMA DIRECTORY")
		os.Exit(2)
	}
	for language, generate := range generators {
		if err := write(flag.Arg(0), filepath.Join(flag.Arg(1), language), generate); err != nil {
			fmt.Fprintf(os.Stderr, "no SDK for %s: %v\n", language, err)
			os.Exit(1)
		}
	}
}

func write(file, directory string, generate generator) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal(text, &spec); err != nil {
		return err
	}
	// Generators modify the package, so each gets its own.
	pkg, diagnostics, err := schema.BindSpec(spec, schema.NewNullLoader(), schema.ValidationOptions{})
	if err != nil {
		return err
	}
	if len(diagnostics) > 0 {
		return diagnostics
	}
	files, err := generate(pkg)
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
