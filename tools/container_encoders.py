"""Write scikit-image's photographs with the encoders of this machine, for the table of containers.

    python tools/container_encoders.py OUT

Writes OUT/PHOTOGRAPH/WRITER--VARIANT.EXT and OUT/manifest.csv (path, writer, source). An encoder
that is not installed is named and left out. On Debian: apt-get install libjpeg-turbo-progs
jpegoptim guetzli optipng pngquant zopfli pngcrush advancecomp webp imagemagick graphicsmagick
libvips-tools netpbm libavif-bin libheif-examples gimp ffmpeg php-cli php-gd golang-go default-jdk
chromium; for Node: npm install sharp jpeg-js pngjs jimp @jsquash/jpeg, in the folder that
NODE_MODULES_AT names.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "camera", "cat_small")
QUALITIES = (50, 75, 85, 92, 95)
Made = Iterator[tuple[str, str]]  # variant, extension, after OUT.ext was written
NODE = Path(os.environ.get("NODE_MODULES_AT", "."))

NODE_SCRIPT = """
const fs = require('fs'), sharp = require('sharp'), jpegjs = require('jpeg-js');
const {PNG} = require('pngjs'), {Jimp} = require('jimp');
const [source, out] = process.argv.slice(1);
(async () => {
  const raw = await sharp(source).ensureAlpha().raw().toBuffer({resolveWithObject: true});
  const picture = {data: raw.data, width: raw.info.width, height: raw.info.height};
  for (const q of [50, 75, 80, 85, 92, 95]) {
    await sharp(source).jpeg({quality: q}).toFile(`${out}/sharp--${q}.jpg`);
    await sharp(source).jpeg({quality: q, mozjpeg: true}).toFile(`${out}/sharp-mozjpeg--${q}.jpg`);
    await sharp(source).jpeg({quality: q, chromaSubsampling: '4:4:4'}).toFile(
      `${out}/sharp--${q}-444.jpg`);
    await sharp(source).webp({quality: q}).toFile(`${out}/sharp--${q}.webp`);
    fs.writeFileSync(`${out}/jpeg-js--${q}.jpg`, jpegjs.encode(picture, q).data);
  }
  await sharp(source).jpeg({progressive: true}).toFile(`${out}/sharp--progressive.jpg`);
  await sharp(source).png().toFile(`${out}/sharp--default.png`);
  await sharp(source).png({palette: true}).toFile(`${out}/sharp--palette.png`);
  await sharp(source).png({compressionLevel: 9, adaptiveFiltering: true}).toFile(
    `${out}/sharp--9.png`);
  await sharp(source).avif().toFile(`${out}/sharp--default.avif`);
  const png = new PNG({width: picture.width, height: picture.height});
  png.data = picture.data;
  fs.writeFileSync(`${out}/pngjs--default.png`, PNG.sync.write(png));
  const jimp = await Jimp.read(source);
  await jimp.write(`${out}/jimp--default.png`);
  await jimp.write(`${out}/jimp--default.jpg`, {quality: 85});
  // The WebAssembly build of MozJPEG that the web app Squoosh uses.
  const wasm = fs.readFileSync('node_modules/@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm');
  const factory = (await import(process.cwd() +
    '/node_modules/@jsquash/jpeg/codec/enc/mozjpeg_enc.js')).default;
  const codec = await factory({wasmBinary: wasm, noInitialRun: true});
  const defaults = {baseline: false, arithmetic: false, progressive: true, optimize_coding: true,
    smoothing: 0, color_space: 3, quant_table: 3, trellis_multipass: false, trellis_opt_zero: false,
    trellis_opt_table: false, trellis_loops: 1, auto_subsample: true, chroma_subsample: 2,
    separate_chroma_quality: false, chroma_quality: 75};
  for (const q of [50, 75, 85, 92]) {
    const made = codec.encode(picture.data, picture.width, picture.height,
      {...defaults, quality: q});
    fs.writeFileSync(`${out}/mozjpeg--${q}.jpg`, made);
  }
})().catch(error => { console.error(error); process.exit(1); });
"""
GO_SCRIPT = """
package main
import ("fmt"; "image"; "image/jpeg"; "image/png"; "os")
func main() {
  file, _ := os.Open(os.Args[1]); picture, _, err := image.Decode(file)
  if err != nil { panic(err) }
  for _, q := range []int{50, 75, 85, 92, 95} {
    out, _ := os.Create(fmt.Sprintf("%s/go--%d.jpg", os.Args[2], q))
    jpeg.Encode(out, picture, &jpeg.Options{Quality: q}); out.Close()
  }
  out, _ := os.Create(os.Args[2] + "/go--default.png"); png.Encode(out, picture); out.Close()
}
"""
JAVA_SCRIPT = """
import java.io.File; import javax.imageio.*; import javax.imageio.stream.*;
import java.awt.image.BufferedImage;
public class Encode {
  public static void main(String[] a) throws Exception {
    BufferedImage picture = ImageIO.read(new File(a[0]));
    BufferedImage rgb = new BufferedImage(picture.getWidth(), picture.getHeight(),
      picture.getRaster().getNumBands() == 1 ? BufferedImage.TYPE_BYTE_GRAY
      : BufferedImage.TYPE_INT_RGB);
    rgb.getGraphics().drawImage(picture, 0, 0, null);
    ImageIO.write(rgb, "jpg", new File(a[1] + "/java--default.jpg"));
    ImageIO.write(rgb, "png", new File(a[1] + "/java--default.png"));
    for (int q : new int[]{50, 75, 85, 92, 95}) {
      ImageWriter writer = ImageIO.getImageWritersByFormatName("jpg").next();
      ImageWriteParam p = writer.getDefaultWriteParam();
      p.setCompressionMode(ImageWriteParam.MODE_EXPLICIT); p.setCompressionQuality(q / 100f);
      File file = new File(a[1] + "/java--" + q + ".jpg"); file.delete();
      writer.setOutput(new FileImageOutputStream(file));
      writer.write(null, new IIOImage(rgb, null, null), p); writer.dispose();
    }
  }
}
"""
PHP_SCRIPT = """
$p = imagecreatefrompng($argv[1]);
foreach ([50, 75, 80, 85, 92, 95, -1] as $q) imagejpeg($p, "$argv[2]/php-gd--$q.jpg", $q);
imageinterlace($p, true); imagejpeg($p, "$argv[2]/php-gd--progressive.jpg", 85);
imageinterlace($p, false); imagepng($p, "$argv[2]/php-gd--default.png");
imagewebp($p, "$argv[2]/php-gd--default.webp");
"""
GIMP_SCRIPT = (
    '(let* ((i (car (gimp-file-load RUN-NONINTERACTIVE "{s}" "{s}")))'
    " (d (car (gimp-image-get-active-layer i))))"
    ' (file-jpeg-save RUN-NONINTERACTIVE i d "{o}/gimp--90.jpg" "a" 0.9 0 1 0 "Created with GIMP"'
    " 2 1 0 0)"
    ' (file-jpeg-save RUN-NONINTERACTIVE i d "{o}/gimp--75-progressive.jpg" "a" 0.75 0 1 1 "" 0 1'
    " 0 0)"
    ' (file-png-save-defaults RUN-NONINTERACTIVE i d "{o}/gimp--default.png" "a"))'
)


def run(*command: object, stdout: Path | None = None, cwd: Path | None = None) -> None:
    """Run a command; what it says is only shown where it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        timeout=300,
        check=True,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    if stdout:
        stdout.write_bytes(done.stdout)


def exif() -> bytes:
    """A small EXIF block, as programs keep it when they save a photograph again."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110] = "Example", "Camera 1"
    return bytes(tags.tobytes())


def pillow(source: Path, out: Path) -> None:
    """Pillow, as most Python programs save."""
    with Image.open(source) as picture:
        for quality in QUALITIES:
            picture.save(out / f"pillow--{quality}.jpg", quality=quality)
            picture.save(out / f"pillow--{quality}-exif.jpg", quality=quality, exif=exif())
            picture.save(out / f"pillow--{quality}-444.jpg", quality=quality, subsampling=0)
            picture.save(out / f"pillow--{quality}-optimised.jpg", quality=quality, optimize=True)
            picture.save(out / f"pillow--{quality}-dpi.jpg", quality=quality, dpi=(72, 72))
            picture.save(out / f"pillow--{quality}.webp", quality=quality)
        own = [[1 + k // 3 for k in range(64)], [2 + k // 2 for k in range(64)]]
        for sampling in ("4:2:0", "4:4:4"):
            given = {"qtables": own, "subsampling": sampling}
            picture.save(out / f"pillow--own-{sampling[-1]}.jpg", progressive=True, **given)
        picture.save(out / "pillow--progressive.jpg", progressive=True)
        picture.save(out / "pillow--progressive-85.jpg", progressive=True, quality=85)
        picture.save(out / "pillow--default.png")
        picture.save(out / "pillow--optimised.png", optimize=True)
        for level in (1, 4, 9):
            picture.save(out / f"pillow--level-{level}.png", compress_level=level)
        picture.save(out / "pillow--lossless.webp", lossless=True)
        picture.convert("RGB").save(out / "pillow--default.avif", speed=9)


def opencv(source: Path, out: Path) -> None:
    """OpenCV's imwrite."""
    import cv2

    picture = cv2.imread(str(source), cv2.IMREAD_UNCHANGED)
    for quality in QUALITIES:
        given = [cv2.IMWRITE_JPEG_QUALITY, quality]
        cv2.imwrite(str(out / f"opencv--{quality}.jpg"), picture, given)
        given += [cv2.IMWRITE_JPEG_OPTIMIZE, 1]
        cv2.imwrite(str(out / f"opencv--{quality}-optimised.jpg"), picture, given)
    cv2.imwrite(str(out / "opencv--progressive.jpg"), picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    cv2.imwrite(str(out / "opencv--default.png"), picture)
    cv2.imwrite(str(out / "opencv--9.png"), picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    cv2.imwrite(str(out / "opencv--default.webp"), picture)


def scikit_image(source: Path, out: Path) -> None:
    """imageio as scikit-image calls it; Matplotlib is not installed everywhere."""
    import imageio.v3

    pixels = imageio.v3.imread(source)
    imageio.v3.imwrite(out / "pillow--imageio.jpg", pixels)
    imageio.v3.imwrite(out / "pillow--imageio.png", pixels)


def libjpeg(source: Path, out: Path) -> None:
    """The programs cjpeg and jpegtran of libjpeg-turbo."""
    ppm = out / "source.ppm"
    with Image.open(source) as picture:
        picture.save(ppm)
    for quality in QUALITIES:
        run("cjpeg", "-quality", quality, ppm, stdout=out / f"cjpeg--{quality}.jpg")
    for sampling in ("1x1", "2x1", "1x2"):
        for option in ("-baseline", "-optimize", "-progressive"):
            target = out / f"cjpeg--{sampling}{option}.jpg"
            run("cjpeg", "-sample", sampling, option, ppm, stdout=target)
    run("cjpeg", "-progressive", ppm, stdout=out / "cjpeg--progressive.jpg")
    run("cjpeg", "-optimize", ppm, stdout=out / "cjpeg--optimised.jpg")
    run("cjpeg", "-restart", 1, ppm, stdout=out / "cjpeg--restart.jpg")
    baseline = out / "cjpeg--75.jpg"
    run("jpegtran", "-copy", "none", baseline, stdout=out / "jpegtran--default.jpg")
    run("jpegtran", "-optimize", baseline, stdout=out / "jpegtran--optimised.jpg")
    run("jpegtran", "-progressive", baseline, stdout=out / "jpegtran--progressive.jpg")
    ppm.unlink()


def optimisers(source: Path, out: Path) -> None:
    """jpegoptim, guetzli."""
    with Image.open(source) as picture:
        picture.save(out / "jpegoptim--default.jpg", quality=90)
        picture.save(out / "jpegoptim--all.jpg", quality=90)
    run("jpegoptim", "-q", out / "jpegoptim--default.jpg")
    run("jpegoptim", "-q", "-m80", "--strip-all", "--all-progressive", out / "jpegoptim--all.jpg")
    with Image.open(source) as picture, tempfile.TemporaryDirectory() as folder:
        small = Path(folder, "small.png")
        picture.resize((160, 120)).convert("RGB").save(small)
        run("guetzli", "--quality", 90, small, out / "guetzli--90.jpg")


def magick(source: Path, out: Path) -> None:
    """ImageMagick 6 and GraphicsMagick."""
    for name, command in (("imagemagick", ["/usr/bin/convert"]), ("gm", ["gm", "convert"])):
        for quality in QUALITIES:
            run(*command, source, "-quality", quality, out / f"{name}--{quality}.jpg")
        run(*command, source, out / f"{name}--default.jpg")
        run(*command, source, "-interlace", "Line", out / f"{name}--progressive.jpg")
        run(*command, source, out / f"{name}--default.png")
        run(*command, source, "-strip", out / f"{name}--strip.png")
        run(*command, source, "-strip", "-quality", 82, out / f"{name}--strip.jpg")
        run(*command, source, out / f"{name}--default.webp")


def ffmpeg(source: Path, out: Path) -> None:
    """Single pictures by FFmpeg, as of video frames."""
    quiet = ("ffmpeg", "-loglevel", "error", "-y", "-i", source)
    for scale in (1, 2, 4, 8, 31):
        run(*quiet, "-q:v", scale, out / f"ffmpeg--{scale}.jpg")
    run(*quiet, out / "ffmpeg--default.jpg")
    run(*quiet, "-huffman", "0", out / "ffmpeg--standard.jpg")
    run(*quiet, out / "ffmpeg--default.png")
    run(*quiet, "-pred", "mixed", out / "ffmpeg--mixed.png")
    run(*quiet, out / "ffmpeg--default.webp")


def vips(source: Path, out: Path) -> None:
    """libvips by its command line."""
    for quality in QUALITIES:
        run("vips", "copy", source, f"{out}/vips--{quality}.jpg[Q={quality}]")
    run("vips", "copy", source, f"{out}/vips--progressive.jpg[interlace]")
    run("vips", "copy", source, f"{out}/vips--strip.jpg[strip]")
    run("vips", "copy", source, f"{out}/vips--default.png")
    run("vips", "copy", source, f"{out}/vips--default.webp")


def png_tools(source: Path, out: Path) -> None:
    """Programs that make PNG files smaller."""
    run("optipng", "-quiet", "-o1", source, "-out", out / "optipng--1.png")
    run("optipng", "-quiet", "-o2", source, "-out", out / "optipng--2.png")
    run("pngquant", source, "-o", out / "pngquant--default.png")
    run("pngcrush", "-q", source, out / "pngcrush--default.png")
    shutil.copy(source, out / "advancecomp--default.png")
    run("advpng", "-z", "-q", out / "advancecomp--default.png")
    with Image.open(source) as picture, tempfile.TemporaryDirectory() as folder:
        small = Path(folder, "small.png")
        picture.resize((160, 120)).save(small)
        run("zopflipng", "-y", "--iterations=1", small, out / "zopfli--default.png")
    run("pngtopam", source, stdout=out / "source.pam")
    run("pamtopng", out / "source.pam", stdout=out / "netpbm--default.png")
    run("pamtopnm", out / "source.pam", stdout=out / "source.ppm")
    run("pnmtopng", out / "source.ppm", stdout=out / "netpbm--old.png")
    for name in ("source.pam", "source.ppm"):
        (out / name).unlink()


def still_boxes(source: Path, out: Path) -> None:
    """AVIF and HEIC."""
    run("avifenc", "-s", 10, "-j", 1, source, out / "libavif--default.avif")
    run("heif-enc", "-q", 60, source, "-o", out / "libheif--default.heic")
    import pillow_heif

    with Image.open(source) as picture:
        pillow_heif.from_pillow(picture.convert("RGB")).save(out / "libheif--pillow.heic")


def webp(source: Path, out: Path) -> None:
    """libwebp's own program."""
    run("cwebp", "-quiet", source, "-o", out / "cwebp--default.webp")
    run("cwebp", "-quiet", "-lossless", source, "-o", out / "cwebp--lossless.webp")


def chromium(source: Path, out: Path) -> None:
    """A canvas of Chromium, as web apps save."""
    import base64

    from playwright.sync_api import sync_playwright

    address = "data:image/png;base64," + base64.b64encode(source.read_bytes()).decode()
    script = """async ([address, kind, quality]) => {
      const picture = new Image(); picture.src = address; await picture.decode();
      const canvas = document.createElement('canvas');
      canvas.width = picture.width; canvas.height = picture.height;
      canvas.getContext('2d').drawImage(picture, 0, 0);
      return canvas.toDataURL(kind, quality); }"""
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page()
        for kind, end, given in (
            ("image/jpeg", "jpg", (0.5, 0.75, 0.8, 0.85, 0.92, 0.95)),
            ("image/png", "png", (None,)),
            ("image/webp", "webp", (0.8,)),
        ):
            for quality in given:
                made = page.evaluate(script, [address, kind, quality])
                (out / f"chromium--{quality}.{end}").write_bytes(
                    base64.b64decode(made.partition(",")[2])
                )
        (out / "chromium--screenshot.png").write_bytes(page.screenshot())
        (out / "chromium--screenshot.jpg").write_bytes(page.screenshot(type="jpeg"))
        browser.close()


def node(source: Path, out: Path) -> None:
    """sharp, jpeg-js, pngjs, Jimp and MozJPEG."""
    run("node", "-e", NODE_SCRIPT, source, out, cwd=NODE)


def go(source: Path, out: Path) -> None:
    """Go's standard library."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "main.go").write_text(GO_SCRIPT)
        run("go", "run", Path(folder, "main.go"), source, out)


def java(source: Path, out: Path) -> None:
    """Java's ImageIO."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Encode.java").write_text(JAVA_SCRIPT)
        run("java", Path(folder, "Encode.java"), source, out)


def php(source: Path, out: Path) -> None:
    """PHP with GD."""
    run("php", "-r", PHP_SCRIPT, source, out)


def gimp(source: Path, out: Path) -> None:
    """GIMP 2 without a window."""
    script = GIMP_SCRIPT.format(s=source, o=out)
    run("gimp", "-i", "-d", "-f", "-b", script, "-b", "(gimp-quit 0)")


ENCODERS: tuple[Callable[[Path, Path], None], ...] = (
    pillow, opencv, scikit_image, libjpeg, optimisers, magick, ffmpeg, vips, png_tools, still_boxes,
    webp, chromium, node, go, java, php, gimp,
)  # fmt: skip


def main() -> None:
    """Write all files and the manifest."""
    out = Path(sys.argv[1]).absolute()
    for name in PHOTOGRAPHS:
        pixels = data.chelsea()[::2, ::2] if name == "cat_small" else getattr(data, name)()
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        source = out / f"{name}.png"
        Image.fromarray(np.ascontiguousarray(pixels)).save(source)
        for encode in ENCODERS:
            try:
                encode(source, folder)
            except Exception as error:
                told = (getattr(error, "stderr", b"") or b"")[-300:]
                print(f"{encode.__name__} on {name}: {type(error).__name__} {told!r}")
    write_manifest(out)


def write_manifest(out: Path) -> None:
    """List what was written, without what failed and what a program only copied.

    The source is Pillow's own.
    """
    rows = []
    for name in PHOTOGRAPHS:
        source = (out / f"{name}.png").read_bytes()
        rows += [
            (f"{name}/{path.name}", path.name.split("--")[0], name)
            for path in sorted((out / name).iterdir())
            if path.stat().st_size
            and (path.name.startswith("pillow") or path.read_bytes() != source)
        ]
    with (out / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "writer", "source"))
        writer.writerows(rows)
    print(f"{len(rows)} files by {len({row[1] for row in rows})} writers")


if __name__ == "__main__":
    main()
