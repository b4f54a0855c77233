// Pictures as SVG 1.1 (W3C), which a page can hold and a browser shows without anything else.
#pragma once

#include <string>
#include <string_view>

namespace weft {

// Text with & < > " as entities, for XML and HTML.
std::string xml_text(std::string_view text);

// How a shape looks; attributes of SVG. Empty: not set.
struct SvgStyle {
  std::string fill = {}, stroke = {};
  double width = 1;         // of the stroke
  std::string dashes = {};  // "4 3"
  double opacity = 1;
};

enum class SvgAnchor { start, middle, end };  // which point of a text is at its coordinates

// A picture under construction: what is added later covers what was before. Coordinates are pixels from the upper left
// corner. `title`: what is shown while the mouse is over a shape; empty: nothing.
class Svg {
 public:
  void rectangle(double x, double y, double width, double height, const SvgStyle& style, std::string_view title = {},
                 double radius = 0);
  void circle(double x, double y, double radius, const SvgStyle& style, std::string_view title = {});
  void line(double x1, double y1, double x2, double y2, const SvgStyle& style, std::string_view title = {});
  // `path`: commands of SVG's path data, "M 1 2 L 3 4".
  void path(std::string_view path, const SvgStyle& style, std::string_view title = {});
  // `y` is the base line. `size`: of the font, in pixels.
  void text(double x, double y, std::string_view text, double size = 12, SvgAnchor anchor = SvgAnchor::start,
            std::string_view fill = "#222", bool bold = false);
  // The whole picture, an element <svg> of this size.
  std::string picture(double width, double height) const;

 private:
  void shape(const std::string& element, const SvgStyle& style, std::string_view title);
  std::string content_;
};

// "12.5": a coordinate, with no more digits than can be seen.
std::string svg_number(double number);

// As much of a text as has room in `width` pixels at this size of the font, with an ellipsis where that is not all;
// fonts differ, so that it is an estimate.
std::string fitting_text(std::string_view text, double width, double size = 12);

}  // namespace weft
